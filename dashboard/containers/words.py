"""Names for containers that nobody named: an adjective and something from a harbour."""

from __future__ import annotations

import secrets

ADJECTIVES = (
    *("able", "agile", "amber", "ample", "ashen", "azure", "balmy", "blithe", "bold", "brave", "breezy", "bright"),
    *("brisk", "bronze", "calm", "candid", "cheery", "civil", "clear", "clever", "cobalt", "coral", "cosy", "crisp"),
    *("curious", "dapper", "daring", "deft", "dewy", "eager", "early", "easy", "fair", "fleet", "fond", "frank"),
    *("fresh", "gallant", "gentle", "glad", "golden", "grand", "hale", "happy", "hardy", "hasty", "hearty", "humble"),
    *("ivory", "jade", "jolly", "keen", "kind", "lively", "loyal", "lucid", "mellow", "merry", "mild", "misty"),
    *("modest", "neat", "nimble", "noble", "open", "patient", "placid", "plucky", "polite", "prompt", "proud", "quick"),
    *("quiet", "ready", "rosy", "ruddy", "sandy", "serene", "silver", "snug", "sober", "steady", "stout", "sunny"),
    *("swift", "tidy", "trim", "trusty", "upbeat", "vivid", "warm", "wise", "witty", "young", "zesty", "zippy"),
)
THINGS = (
    *("albatross", "anchor", "anemone", "barge", "beacon", "bollard", "bosun", "breakwater", "buoy", "cape", "capstan"),
    *("cargo", "channel", "cleat", "clipper", "cod", "compass", "coot", "cormorant", "coxswain", "crane", "cutter"),
    *("dinghy", "dock", "dolphin", "dory", "eddy", "eider", "ferry", "fjord", "frigate", "galley", "gannet", "gull"),
    *("halyard", "harbour", "haven", "hawser", "helm", "heron", "herring", "inlet", "jetty", "junk", "keel", "ketch"),
    *("lagoon", "lantern", "lighter", "lobster", "lock", "lugger", "mackerel", "marina", "marlin", "mast", "mooring"),
    *("mussel", "oar", "osprey", "otter", "packet", "pelican", "petrel", "pier", "pike", "pilot", "plover", "porpoise"),
    *("puffin", "quay", "raft", "reef", "rigging", "rudder", "sail", "schooner", "seal", "sextant", "skiff", "slipway"),
    *("sloop", "sound", "spar", "squid", "starboard", "stern", "strait", "tern", "tide", "tiller", "trawler", "tug"),
    *("voyage", "walrus", "wharf", "whistle", "winch", "yacht", "yawl"),
)


def random_name(attempt: int = 0) -> str:
    """`happy_pike`; with a digit behind it after a first collision."""
    name = f"{secrets.choice(ADJECTIVES)}_{secrets.choice(THINGS)}"
    return name if attempt == 0 else f"{name}{secrets.randbelow(10 ** min(attempt, 6))}"
