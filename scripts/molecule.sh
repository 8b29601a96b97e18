#!/usr/bin/env bash
# Run Molecule scenarios on a lab of two nodes that is started and taken down for them.
# Usage: molecule.sh [SCENARIO ...]       default: all. KEEP=1 leaves the lab up; the next call uses it again.
# NIMCTL_MOLECULE_LAB names the lab, so that two runs on one machine can have one each.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"

lab=${NIMCTL_MOLECULE_LAB:-molecule}
export NIMCTL_MOLECULE_INVENTORY="$PWD/inventories/$lab"
scenarios=("$@")
if [ "${#scenarios[@]}" -eq 0 ]; then
  for folder in molecule/*/molecule.yml; do scenarios+=("$(basename "$(dirname "$folder")")"); done
fi

finish() {
  [ -n "${KEEP:-}" ] || nimctl lab down --name "$lab" --inventory "$NIMCTL_MOLECULE_INVENTORY"
}
trap finish EXIT
nimctl lab up --name "$lab" --nodes 2 --inventory "$NIMCTL_MOLECULE_INVENTORY"

# Locked beforehand, so that every run of a scenario starts from the same images.
nimctl lock -i "$NIMCTL_MOLECULE_INVENTORY"

for scenario in "${scenarios[@]}"; do
  # What Molecule remembers of nodes that are gone, such as that they were prepared.
  molecule --base-config .config/molecule/config.yml reset --scenario-name "$scenario"
  molecule --base-config .config/molecule/config.yml test --scenario-name "$scenario"
done
