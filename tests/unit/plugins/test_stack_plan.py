"""In check mode a layer knows what the layers before it would have done."""

from ansible_collections.nimctl.multinode.plugins.action.stack_plan import planned_before

DRIVER = {
    "changed": False,
    "layer": "driver",
    "plan": {"steps": "managed", "version": "580.178.04"},
    "values": {"steps": "managed", "version": "580.178.04"},
    "pending": [],
}


def test_plans_that_roles_have_registered_are_found():
    variables = {
        "__nvidia_driver": DRIVER,
        "__nvidia_driver_packages": {"changed": True, "names": []},
        "nvidia_driver_branch": 580,
        "driver_of_somebody_else": DRIVER,
    }
    found = planned_before(variables)
    assert list(found) == ["driver"]
    assert found["driver"].values["version"] == "580.178.04"


def test_there_are_none_in_the_first_role():
    assert planned_before({"__nim_stack": {"plans": {}, "refused": []}}) == {}
