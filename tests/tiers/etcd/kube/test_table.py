"""The table of fields: what is in it, and that the program which writes it reads its sources right."""

import importlib.util
import json
from pathlib import Path

import pytest

from backstay.tiers.etcd.kube import forms, table

TOOL = Path(__file__).resolve().parents[4] / "tools" / "kubernetes_fields.py"

PROTO = """
syntax = "proto2";
package k8s.io.api.fruit.v1;
// A basket. message Not { }
message Basket {
  // metadata = 9;
  optional .k8s.io.apimachinery.pkg.apis.meta.v1.ObjectMeta metadata = 1;

  optional BasketSpec spec = 2;
  map<string, bytes> labels = 3;
}
message BasketSpec {
  repeated string apples = 1;
  optional int32 count = 2;
  optional BasketSource basketSource = 3;
  optional Tags tags = 4;
}
message BasketSource {
  optional string url = 1;
}
message Tags {
  repeated string items = 1;
}
"""
GO = """
package v1
type Basket struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`
	// Labels come first in JSON.
	Labels map[string][]byte `json:"labels,omitempty" protobuf:"bytes,3,rep,name=labels"`
	Spec BasketSpec `json:"spec" protobuf:"bytes,2,opt,name=spec"`
}
type BasketSpec struct {
	Apples []string `json:"apples" protobuf:"bytes,1,rep,name=apples"`
	Count *int32 `json:"howMany,omitempty" protobuf:"varint,2,opt,name=count"`
	BasketSource `json:",inline,omitempty" protobuf:"bytes,3,opt,name=basketSource"`
	Tags Tags `json:"tags,omitempty" protobuf:"bytes,4,opt,name=tags"`
}
type BasketSource struct {
	URL string `json:"url,omitempty" protobuf:"bytes,1,opt,name=url"`
}
type Tags []string
"""
REGISTER = 'const GroupName = "fruit.example.com"\nscheme.AddKnownTypes(&Basket{}, &BasketList{}, &BasketOptions{})\n'
META = "package k8s.io.apimachinery.pkg.apis.meta.v1;\nmessage ObjectMeta {\n  optional string name = 1;\n}\n"


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("kubernetes_fields", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def module_with(folder, proto=PROTO, go=GO):
    for name, text in (
        ("fruit/v1/generated.proto", proto),
        ("fruit/v1/types.go", go),
        ("fruit/v1/register.go", REGISTER),
        ("meta/v1/generated.proto", META),
    ):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_fields_come_from_proto_and_their_json_from_go(tool, tmp_path):
    found = tool.table([module_with(tmp_path / "api@v1.2.3")])
    assert found["sources"] == ["k8s.io/api v1.2.3"]
    assert found["kinds"] == {"fruit.example.com/v1": ["k8s.io.api.fruit.v1", ["Basket"]]}
    assert found["packages"]["k8s.io.api.fruit.v1"] == {
        "Basket": [
            [1, "metadata", ".k8s.io.apimachinery.pkg.apis.meta.v1.ObjectMeta", "o"],
            [3, "labels", "bytes", "mo"],
            [2, "spec", "BasketSpec", ""],
        ],
        "BasketSource": [[1, "url", "string", "o"]],
        "BasketSpec": [
            [1, "apples", "string", "r"],
            [2, "howMany", "int32", "po"],
            [3, "", "BasketSource", "i"],
            [4, "tags", "Tags", "o"],
        ],
        "Tags": ["list", "string"],
    }


def test_the_table_is_json_and_the_same_each_time(tool, tmp_path):
    modules = [module_with(tmp_path / "api@v1.2.3")]
    text = tool.written(tool.table(modules))
    assert text == tool.written(tool.table(modules))
    assert json.loads(text) == json.loads(json.dumps(tool.table(modules)))


def test_older_modules_add_what_is_gone_and_change_nothing(tool, tmp_path):
    newer = module_with(tmp_path / "api@v2")
    proto = PROTO.replace("optional int32 count = 2;", "optional string count = 2;\n  optional string gone = 9;")
    proto += "message Crate {\n  optional bool full = 1;\n}\n"
    older = module_with(tmp_path / "api@v1", proto, GO.replace("howMany", "wasCalled"))
    fruit = tool.table([newer, older])["packages"]["k8s.io.api.fruit.v1"]
    assert fruit["BasketSpec"][1] == [2, "howMany", "int32", "po"]
    assert [row[0] for row in fruit["BasketSpec"]] == [1, 2, 3, 4, 9]
    assert fruit["BasketSpec"][-1] == [9, "gone", "string", "a"]
    assert fruit["Crate"] == [[1, "full", "bool", ""]]


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("optional int32 count", "required int32 count", "required"),
        ("optional int32 count", "optional fixed32 count", "fixed32"),
        ("optional int32 count", "optional Nowhere count", "nowhere"),
        ("package k8s.io.api.fruit.v1;", "", "package"),
    ],
)
def test_what_is_not_understood_stops_it(tool, tmp_path, old, new, word):
    with pytest.raises(tool.NotUnderstood, match=word):
        tool.table([module_with(tmp_path / "api@v1", PROTO.replace(old, new))])


def test_the_table_that_is_shipped():
    assert table.sources()[0].startswith("k8s.io/api v0.")
    assert len(table.kinds()) > 150
    assert table.message_of("apps/v1", "Deployment") == "k8s.io.api.apps.v1.Deployment"
    assert table.message_of("apps/v1", "Widget") is None
    assert table.message_of("nowhere/v1", "Deployment") is None
    assert all(field.kind for field in table.message("k8s.io.api.core.v1.PodSpec").fields)


def test_every_kind_has_its_metadata_as_field_one():
    """What ``objects.look`` relies on."""
    for api_version, kind in table.kinds():
        first = next(f for f in table.message(table.message_of(api_version, kind)).fields if f.number == 1)
        assert (first.name, first.kind) == ("metadata", f"{table.META}.ObjectMeta"), f"{api_version} {kind}"


def test_every_message_that_is_another_thing_in_json_is_in_the_table():
    for name in forms.FORMS:
        assert table.message(name).numbers
