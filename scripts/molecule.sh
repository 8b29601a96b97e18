#!/usr/bin/env bash
# Run Molecule scenarios on labs that are started and taken down for them: two containers, or what a scenario's file
# `lab` asks for, as options of `nimctl lab up`.
# Usage: molecule.sh [SCENARIO ...]       default: all but the lane_*, which take the quick part of several together.
# KEEP=1 leaves the labs up; the next call uses them again.
# NIMCTL_MOLECULE_LAB names the lab, so that two runs on one machine can have one each.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"

base=${NIMCTL_MOLECULE_LAB:-molecule}
labs=()
scenarios=("$@")
if [ "${#scenarios[@]}" -eq 0 ]; then
  for folder in molecule/*/molecule.yml; do
    scenario=$(basename "$(dirname "$folder")")
    [[ $scenario == lane_* ]] || scenarios+=("$scenario")
  done
fi

finish() {
  for lab in "${labs[@]}"; do
    [ -n "${KEEP:-}" ] || nimctl lab down --name "$lab" --inventory "$PWD/inventories/$lab"
  done
}
trap finish EXIT
# Molecule is ended by the same interrupt; the labs go after it.
trap 'exit 130' INT TERM HUP

# Start the lab of a scenario unless it runs, and point Molecule to it.
use_lab() { # scenario
  local lab=$base options=(--nodes 2)
  if [ -f "molecule/$1/lab" ]; then
    lab="$base-$1"
    read -r -a options < "molecule/$1/lab"
  fi
  export NIMCTL_MOLECULE_INVENTORY="$PWD/inventories/$lab"
  case " ${labs[*]-} " in *" $lab "*) return ;; esac
  labs+=("$lab")
  nimctl lab up --name "$lab" --inventory "$NIMCTL_MOLECULE_INVENTORY" "${options[@]}"
  # Locked beforehand, so that every run of a scenario starts from the same images.
  nimctl lock -i "$NIMCTL_MOLECULE_INVENTORY"
}

for scenario in "${scenarios[@]}"; do
  use_lab "$scenario"
  # What Molecule remembers of nodes that are gone, such as that they were prepared.
  molecule --base-config .config/molecule/config.yml reset --scenario-name "$scenario"
  molecule --base-config .config/molecule/config.yml test --no-command-borders --scenario-name "$scenario"
done
