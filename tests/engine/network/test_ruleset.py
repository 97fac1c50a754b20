from __future__ import annotations

from engine.network.published import Published
from engine.network.ruleset import Forward, Home, Port, read_listing, ruleset

PORT = Port("vaaaaaaaa2", "02:42:0a:01:00:02", "10.1.0.2")
OTHER = Port("vaaaaaaaa3", "02:42:0a:01:00:03", "10.1.0.3")


WEB = Forward(Published(protocol="tcp", address="0.0.0.0", port=8080, container_port=80), "10.1.0.2")
NAMES = Forward(Published(protocol="udp", address="127.0.0.1", port=5353, container_port=53), "10.1.0.3")


HOME = Home("br-aaaaaaaa", "10.1.0.0/20", "10.1.0.1", is_internal=False, has_names=False)


def rules(ports, forwards=()):
    return ruleset(
        table="t",
        bridges="br-aaaaaaaa",
        prefix="vaaaaaaaa",
        homes=[HOME],
        ports=ports,
        forwards=forwards,
    )


def test_a_listing_is_split_into_rules_and_ports():
    listed = """table bridge t {
	set ports {
		type ifname . ether_addr . ipv4_addr
		elements = { "vaaaaaaaa2" . 02:42:0a:01:00:02 . 10.1.0.2,
			     "vaaaaaaaa3" . 02:42:0a:01:00:03 . 10.1.0.3 }
	}
}
"""
    assert read_listing(listed).ports == {PORT, OTHER}
    assert "elements" not in read_listing(listed).rules


def test_rules_do_not_depend_on_the_order_of_ports_and_differ_only_by_them():
    assert rules([PORT, OTHER]) == rules([OTHER, PORT])
    assert read_listing(rules([PORT])).rules == read_listing(rules([])).rules
    assert read_listing(rules([PORT])).ports == {PORT}


def test_forwards_stand_in_the_map_of_their_address_and_are_read_back():
    listing = read_listing(rules([PORT, OTHER], [NAMES, WEB]))
    assert listing.forwards == {WEB, NAMES}
    assert listing.ports == {PORT, OTHER}
    assert listing.rules == read_listing(rules([])).rules


def test_both_tables_are_replaced_in_one_script():
    script = rules([])
    assert script.index("delete table inet t") < script.index("table inet t {")
    assert script.index("delete table bridge t") < script.index("table bridge t {")
