"""Definitions that bags carry: ros2msg, ros2idl, and what neither should be."""

from contextlib import suppress

from mle_sam_ros.bags.typestore import (
    begins_with_header,
    fields_of,
    new_typestore,
    register_definition,
)
import pytest

RULE = '=' * 80
# As rosidl_adapter writes it, with includes, comments and joined strings.
ODD_IDL = f"""{RULE}
IDL: my_msgs/msg/Odd
// generated from rosidl_adapter/resource/msg.idl.em
// generated code does not contain a copyright notice

#include "my_msgs/msg/Part.idl"
#include "std_msgs/msg/Header.idl"

module my_msgs {{
  module msg {{
    @verbatim (language="comment", text=
      "An odd message." "\\n"
      "Nobody # else has it.")
    struct Odd {{
      std_msgs::msg::Header header;

      @verbatim (language="comment", text=
        "how many")
      int32 n;

      sequence<my_msgs::msg::Part> parts;
    }};
  }};
}};

{RULE}
IDL: my_msgs/msg/Part
// generated from rosidl_adapter/resource/msg.idl.em

module my_msgs {{
  module msg {{
    struct Part {{
      double x;
      string name;
    }};
  }};
}};

{RULE}
IDL: std_msgs/msg/Header
#include "builtin_interfaces/msg/Time.idl"

module std_msgs {{
  module msg {{
    struct Header {{
      builtin_interfaces::msg::Time stamp;
      string frame_id;
    }};
  }};
}};
"""


def test_idl_with_its_dependencies():
    store = new_typestore()
    register_definition(store, 'my_msgs/msg/Odd', 'ros2idl', ODD_IDL)
    assert list(fields_of(store, 'my_msgs/msg/Odd')) == ['header', 'n', 'parts']
    assert list(fields_of(store, 'my_msgs/msg/Part')) == ['x', 'name']
    assert begins_with_header(store, 'my_msgs/msg/Odd')
    assert not begins_with_header(store, 'my_msgs/msg/Part')


def test_one_idl_type_without_a_rule():
    store = new_typestore()
    text = 'module a { module msg { struct B { uint8 c; }; }; };'
    register_definition(store, 'a/msg/B', 'ros2idl', text)
    assert list(fields_of(store, 'a/msg/B')) == ['c']


@pytest.mark.parametrize('encoding', ['ros2msg', 'ros2idl', 'ros1msg', ''])
@pytest.mark.parametrize('text', ['', 'no ( definition', '\x00', 'uint8[', 'module {'])
def test_a_known_type_stays_whatever_its_definition(encoding, text):
    store = new_typestore()
    before = dict(store.fielddefs)
    # An empty definition is one, in ROS.
    with suppress(ValueError):
        register_definition(store, 'sensor_msgs/msg/Image', encoding, text)
    assert dict(store.fielddefs) == before


def test_another_definition_of_a_known_type():
    store = new_typestore()
    with pytest.raises(ValueError, match='another definition of sensor_msgs/msg/Range'):
        register_definition(
            store, 'sensor_msgs/msg/Range', 'ros2msg', 'std_msgs/Header header\nfloat32 range\n'
        )


@pytest.mark.parametrize(
    'name', ['', 'a', 'a/b', "a/msg/B'", 'a/msg/B\nuint8 c', 'a/srv/B', '../msg/B', 'a/msg/1']
)
def test_what_is_no_name_reaches_no_parser(name):
    with pytest.raises(ValueError, match='no type name'):
        register_definition(new_typestore(), name, 'ros2msg', 'uint8 c')


def test_a_known_type_needs_no_definition():
    store = new_typestore()
    name = 'event_camera_msgs/msg/EventPacket'
    register_definition(store, name, '', '')
    assert 'time_base' in fields_of(store, name)
