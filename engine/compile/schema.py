"""``specs/schema.json``: draft-7 JSON schema of specs, so that editors complete and check them."""

from __future__ import annotations

import json
from typing import Any

from engine.spec.discover import study_class

INTERPOLATION = {"type": "string", "pattern": r"\$\{.+\}", "description": "a value by interpolation: ${knobs.name}"}


def schema_text() -> str:
    """The schema as text; ``vidspec schema`` writes it."""
    return json.dumps(schema(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def schema() -> dict[str, Any]:
    """Draft-7 schema of a spec as it is written: with ``extends``/``with`` and interpolations allowed."""
    study = study_class().model_json_schema(mode="validation")
    definitions = study.pop("$defs")
    by_name = study["properties"]["models"]["patternProperties"]
    for pattern, model in by_name.items():
        by_name[pattern] = {"anyOf": [model, _extending("model")]}
    properties = {**study.pop("properties"), **_extending("spec")["properties"]}
    required = study.pop("required")
    result = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        **study,
        "properties": properties,
        "if": {"required": ["extends"]},
        "then": {"required": ["spec", "name"]},
        "else": {"required": required},
        "definitions": definitions,
    }
    return _draft7(result, top=True)


def _extending(what: str) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["extends"],
        "properties": {
            "extends": {"type": "string", "description": f"The {what} that this one is a variant of."},
            "with": {"type": "object", "description": "What differs: merged into it, key by key."},
        },
    }


def _draft7(node: Any, top: bool = False) -> Any:
    """Draft 2020-12 as Pydantic writes it -> draft 7, with interpolations allowed for every value that is not text."""
    if isinstance(node, list):
        return [_draft7(item) for item in node]
    if not isinstance(node, dict):
        return node
    result: dict[str, Any] = {}
    for key, value in node.items():
        if key == "discriminator" or key == "neutral":
            continue
        if key == "prefixItems":
            result["items"], result["additionalItems"] = _draft7(value), False
        elif key == "$ref":
            result["$ref"] = value.replace("#/$defs/", "#/definitions/")
        elif key in ("properties", "definitions", "patternProperties"):
            result[key] = {name: _draft7(item) for name, item in value.items()}
        elif key in ("default", "const", "enum", "examples"):
            result[key] = value
        else:
            result[key] = _draft7(value)
    if "$ref" in result and len(result) > 1:  # draft 7 ignores what stands beside a $ref
        result = {"allOf": [{"$ref": result.pop("$ref")}], **result}
    if result.get("type") in ("integer", "number", "boolean", "array") or ("enum" in result and "const" not in result):
        described = {k: result.pop(k) for k in ("title", "description", "default") if k in result}
        result = {**described, "anyOf": [result, INTERPOLATION]}
    return result
