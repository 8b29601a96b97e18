def test_a_run_repairs_exactly_what_was_spoiled(cluster):
    cluster("site.yml").spoil_and_repair()
