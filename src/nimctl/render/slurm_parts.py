"""The parts of a job script that are the same for every replica."""

from __future__ import annotations

FIND = """\
# Every node tells its address; the first is the leader's, and this script runs there.
IFS= read -r -d '' find <<'NIMCTL_FIND' || :
set -euo pipefail
interface=$1 family=$2 cache=$3
if [ -n "$interface" ]; then
  address=$(ip -o "-$family" address show dev "$interface" scope global |
    awk 'NR == 1 {sub("/.*", "", $4); print $4}')
else
  address=$(getent "ahostsv$family" "$(hostname)" | awk 'NR == 1 {print $1}')
fi
case $address in
  '' | 127.* | ::1)
    echo "$(hostname): no IPv$family address on ${interface:-the network that its name leads to}" >&2
    echo "give fabric.interface in the description, and render again" >&2
    exit 1
    ;;
esac
mkdir -p "$cache"
echo "$SLURM_NODEID $(hostname) $address"
NIMCTL_FIND
table=$(srun --ntasks-per-node=1 --kill-on-bad-exit=1 \\
  bash -c "$find" find "$interface" "$family" "$cache" | sort -n)
NIMCTL_LEADER=$(awk 'NR == 1 {print $2}' <<<"$table")
NIMCTL_LEADER_ADDRESS=$(awk 'NR == 1 {print $3}' <<<"$table")
NIMCTL_ADDRESSES=$(awk '{print $3}' <<<"$table" | paste -sd' ')
export NIMCTL_LEADER NIMCTL_LEADER_ADDRESS NIMCTL_ADDRESSES
"""

PREPARE = """\
# One import for all nodes, where the image is a file.
if [ -n "$image" ] && [ ! -e "$image" ]; then
  mkdir -p "$(dirname "$image")"
  enroot import --output "$image.$SLURM_JOB_ID" "docker://$uri"
  mv "$image.$SLURM_JOB_ID" "$image"
fi
"""

PYXIS = """\
srun --ntasks-per-node=1 --kill-on-bad-exit=1 --cpu-bind=none --label \\
  --container-image="${image:-$uri}" \\
@OPTIONS@  --no-container-entrypoint --no-container-mount-home \\
  bash -c "$task" &
engine=$!
"""

ENROOT = """\
# A start script of its own instead of the image's: the task says all that is to run.
IFS= read -r -d '' start <<'NIMCTL_START' || :
set -euo pipefail
image=$1 cache=$2 task=$3
rc=$(mktemp)
trap 'rm -f "$rc"' EXIT
printf 'exec "$@"\\n' >"$rc"
# Slurm has chosen the GPUs: its cgroups hide the others, or its list of numbers does.
enroot start --rw --rc "$rc" \\
  --env NVIDIA_VISIBLE_DEVICES="${CUDA_VISIBLE_DEVICES:-@GPUS@}" \\
  --env NVIDIA_DRIVER_CAPABILITIES=compute,utility \\
  @OPTIONS@ \\
  "$image" bash -c "$task"
NIMCTL_START
srun --ntasks-per-node=1 --kill-on-bad-exit=1 --cpu-bind=none --label \\
  bash -c "$start" start "$image" "$cache" "$task" &
engine=$!
"""

WATCH = """\
# Ready when the leader answers, which it does when all ranks have joined and the model is loaded.
case $NIMCTL_LEADER_ADDRESS in *:*) host="[$NIMCTL_LEADER_ADDRESS]" ;; *) host=$NIMCTL_LEADER_ADDRESS ;; esac
SECONDS=0
until curl --fail --silent --output /dev/null --max-time 5 "http://$host:$port$path"; do
  kill -0 "$engine" 2>/dev/null || { wait "$engine" || exit; exit 1; }
  if [ "$SECONDS" -ge "$deadline" ]; then
    echo "$deployment did not answer on http://$host:$port$path within $deadline s" >&2
    kill "$engine"
    wait "$engine" || :
    exit 1
  fi
  sleep 2
done
echo "$deployment serves on http://$host:$port/v1 after $SECONDS s"
wait "$engine"
"""
