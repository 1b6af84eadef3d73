"""A CustomResourceDefinition as kubectl can apply it.

The API server stores definitions as v1beta1 to this day, whatever was applied (kubernetes/kubernetes,
pkg/controlplane/apiserver/apiextensions.go, issue 82292), and has not served v1beta1 since Kubernetes 1.22. What
differs: in v1 schema, subresources, printer columns and selectable fields are of each version, in v1beta1 they stand
once when all versions agree (k8s.io/apiextensions-apiserver, apiextensions/v1/conversion.go and v1beta1/defaults.go).
"""

from typing import Any

V1BETA1, V1 = "apiextensions.k8s.io/v1beta1", "apiextensions.k8s.io/v1"
_SHARED = {  # v1beta1 at the top of spec -> v1 in each version
    "validation": "schema",
    "subresources": "subresources",
    "additionalPrinterColumns": "additionalPrinterColumns",
    "selectableFields": "selectableFields",
}
_OF_WEBHOOK = {"webhookClientConfig", "conversionReviewVersions"}


def to_v1(definition: dict[str, Any]) -> dict[str, Any]:
    """The same definition in v1. What is not v1beta1, or not of its shape, comes back as it was."""
    spec = definition.get("spec")
    if definition.get("apiVersion") != V1BETA1 or not isinstance(spec, dict):
        return definition
    changed = {key: value for key, value in spec.items() if key not in {*_SHARED, "version", "versions"}}
    changed["versions"] = [_version(spec, version) for version in _versions(spec)]
    if isinstance(spec.get("conversion"), dict):
        changed["conversion"] = _conversion(spec["conversion"])
    changed["preserveUnknownFields"] = spec.get("preserveUnknownFields", True)  # v1beta1's default; v1's is false
    if changed["preserveUnknownFields"] is False:
        del changed["preserveUnknownFields"]
    return definition | {"apiVersion": V1, "spec": changed}


def _versions(spec: dict[str, Any]) -> list[dict[str, Any]]:
    listed = spec.get("versions")
    if isinstance(listed, list) and listed:
        return [version for version in listed if isinstance(version, dict)]
    return [{"name": spec.get("version"), "served": True, "storage": True}]


def _version(spec: dict[str, Any], version: dict[str, Any]) -> dict[str, Any]:
    """One version, with what the definition says of all of them."""
    whole = dict(version)
    for shared, own in _SHARED.items():
        if spec.get(shared) is not None:
            whole[own] = spec[shared]
    columns = whole.get("additionalPrinterColumns")
    if isinstance(columns, list):
        whole["additionalPrinterColumns"] = [_column(one) for one in columns if isinstance(one, dict)]
    return whole


def _column(column: dict[str, Any]) -> dict[str, Any]:
    return {"jsonPath" if key == "JSONPath" else key: value for key, value in column.items()}


def _conversion(conversion: dict[str, Any]) -> dict[str, Any]:
    """``webhookClientConfig`` and ``conversionReviewVersions`` are within ``webhook`` in v1."""
    client, versions = conversion.get("webhookClientConfig"), conversion.get("conversionReviewVersions")
    kept = {key: part for key, part in conversion.items() if key not in _OF_WEBHOOK}
    if client is not None or versions is not None:
        webhook = {"clientConfig": client, "conversionReviewVersions": versions}
        kept["webhook"] = {key: value for key, value in webhook.items() if value is not None}
    return kept
