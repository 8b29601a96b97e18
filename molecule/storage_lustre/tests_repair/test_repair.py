def test_a_run_repairs_exactly_what_was_spoiled(cluster):
    cluster("molecule/storage_lustre/converge.yml").spoil_and_repair()
