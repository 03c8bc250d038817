"""Strict records: a frozen dataclass read from, and written to, a JSON or YAML mapping."""

from collections.abc import Mapping
import dataclasses
import types
from typing import Any, get_args, get_origin, get_type_hints, TypeVar, Union

from mle_sam_ros.core.errors import InputError

Record = TypeVar('Record')


def from_mapping(record_type: type[Record], mapping: object, where: str) -> Record:
    """Build a dataclass from a mapping that has exactly its fields.

    Fields may be scalars, other dataclasses, tuples (from lists), dictionaries, `X | None`, or a
    union of dataclasses that each carry a distinct class attribute `kind` (read from the mapping).

    Args:
        record_type: a dataclass.
        mapping: what the file held at this place.
        where: file and place, for error messages (`engines/nano/manifest.json: modalities[0]`).

    Raises:
        InputError: for an unknown key, a missing key, or a value of the wrong type.
    """
    if not isinstance(mapping, Mapping):
        raise InputError(f'{where}: expected a mapping, got {_describe(mapping)}; see the format')
    fields = {field.name: field for field in dataclasses.fields(record_type)}  # type: ignore[arg-type]
    valid = ', '.join(fields)
    unknown = ', '.join(str(key) for key in mapping if key not in fields)
    if unknown:
        raise InputError(f'{where}: expected only the keys {valid}, got {unknown}; remove it')
    missing = [
        name for name, field in fields.items() if name not in mapping and not _has_default(field)
    ]
    if missing:
        raise InputError(
            f'{where}: expected the keys {valid}, got none named {", ".join(missing)}; add them'
        )
    hints = get_type_hints(record_type)
    values = {
        name: _convert(hints[name], value, f'{where}: {name}') for name, value in mapping.items()
    }
    return record_type(**values)


def to_mapping(record: Any) -> Any:
    """Turn a dataclass, however nested, into plain dictionaries and lists for JSON or YAML."""
    if dataclasses.is_dataclass(record) and not isinstance(record, type):
        mapping = {
            field.name: to_mapping(getattr(record, field.name))
            for field in dataclasses.fields(record)
        }
        kind = getattr(type(record), 'kind', None)
        return {'kind': kind, **mapping} if isinstance(kind, str) else mapping
    if isinstance(record, Mapping):
        return {key: to_mapping(value) for key, value in record.items()}
    if isinstance(record, tuple | list):
        return [to_mapping(value) for value in record]
    return record


def _has_default(field: 'dataclasses.Field[Any]') -> bool:
    return (
        field.default is not dataclasses.MISSING
        or field.default_factory is not dataclasses.MISSING
    )


def _convert(expected: Any, value: object, where: str) -> Any:
    origin, arguments = get_origin(expected), get_args(expected)
    if expected is Any:
        return value
    if origin in (Union, types.UnionType):
        return _convert_union(arguments, value, where)
    if origin is tuple:
        return _convert_tuple(arguments, value, where)
    if origin is dict:
        if not isinstance(value, Mapping):
            raise InputError(f'{where}: expected a mapping, got {_describe(value)}; correct it')
        return {str(k): _convert(arguments[1], v, f'{where}.{k}') for k, v in value.items()}
    if dataclasses.is_dataclass(expected):
        return from_mapping(expected, _without_kind(expected, value, where), where)  # type: ignore[arg-type]
    if expected is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not expected:
        raise InputError(
            f'{where}: expected {expected.__name__}, got {_describe(value)}; correct it'
        )
    return value


def _convert_union(options: tuple[Any, ...], value: object, where: str) -> Any:
    if value is None and types.NoneType in options:
        return None
    kinds = {option.kind: option for option in options if hasattr(option, 'kind')}
    if not kinds:
        return _convert(next(o for o in options if o is not types.NoneType), value, where)
    kind = value.get('kind') if isinstance(value, Mapping) else None
    if kind not in kinds:
        raise InputError(
            f'{where}: expected kind to be one of {", ".join(kinds)}, got {kind!r}; correct it'
        )
    return _convert(kinds[kind], value, where)


def _convert_tuple(arguments: tuple[Any, ...], value: object, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise InputError(f'{where}: expected a list, got {_describe(value)}; correct it')
    if arguments[-1] is Ellipsis:
        arguments = (arguments[0],) * len(value)
    if len(arguments) != len(value):
        raise InputError(
            f'{where}: expected {len(arguments)} values, got {len(value)}; correct it'
        )
    return tuple(
        _convert(kind, item, f'{where}[{i}]')
        for i, (kind, item) in enumerate(zip(arguments, value, strict=True))
    )


def _without_kind(expected: Any, value: object, where: str) -> object:
    kind = getattr(expected, 'kind', None)
    if kind is None or not isinstance(value, Mapping):
        return value
    if value.get('kind') != kind:
        raise InputError(f'{where}: expected kind {kind}, got {value.get("kind")!r}; correct it')
    return {key: item for key, item in value.items() if key != 'kind'}


def _describe(value: object) -> str:
    return f'{type(value).__name__} {value!r}'[:60]
