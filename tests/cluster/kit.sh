#!/usr/bin/env bash
# A throw-away Kubernetes for these tests, from the kit beside the checkout: API server, scheduler, one real node with
# simulated GPUs and one that only kwok plays, KubeRay's operator, and the kinds of the Prometheus operator.
#
#   kit.sh check   what is missing to bring one up here; ends with 1 if something is
#   kit.sh unpack  only its programs and small images, where the kit is: helm-unittest is one of them
#   kit.sh up      bring it up (half a minute), or say that it runs
#   kit.sh down    end it; `down --wipe` also forgets the images that it loaded
#   kit.sh run COMMAND…   the command with a cluster: the one that runs, else one that ends with it
#
#   PARLANCE_CLUSTER_KIT   where the kit is (../shared/cluster)
#   KIT_STATE              where programs, images and the cluster lie, outside git (.state/cluster)
#   KIT_STEPS              further images: `ray` makes rayproject/ray from PyPI (three minutes, once)
#   K8S_NET                first two octets of its network (the first free one from 10.97 on)
#   K8S_GPUS               nvidia.com/gpu that the real node offers (8)
set -euo pipefail
cd "$(dirname "$0")/../.."
kit=${PARLANCE_CLUSTER_KIT:-../shared/cluster}
state=${KIT_STATE:-$PWD/.state/cluster}

missing() {
  [ -x "$kit/up.sh" ] || echo "the kit: no $kit/up.sh (PARLANCE_CLUSTER_KIT says where it is)"
  if [ "$(id -u)" -ne 0 ]; then
    echo "root: the kit makes namespaces, a veth and cgroups"
  elif ! unshare --mount --pid --net --fork true 2>/dev/null; then
    echo "the right to make namespaces (CAP_SYS_ADMIN), which this root lacks"
  fi
  command -v apt-get >/dev/null || dpkg -s containerd >/dev/null 2>&1 ||
    echo "Debian's containerd, runc, containernetworking-plugins, nftables"
}

check() {
  local lacks
  lacks=$(missing)
  [ -n "$lacks" ] || return 0
  cat >&2 <<TEXT
!! No cluster can be brought up here. Missing:
$(sed 's/^/!!   /' <<<"$lacks")
!! Any throw-away cluster does, with kubectl and helm on the PATH:
!!   kind create cluster                    # or: minikube start; or: k3s server --disable traefik
!!   helm repo add kuberay https://ray-project.github.io/kuberay-helm/
!!   helm install kuberay-operator kuberay/kuberay-operator --version 1.6.0 -n kuberay-system --create-namespace
!!   for kind in prometheusrules servicemonitors podmonitors; do kubectl apply --server-side -f \\
!!     https://raw.githubusercontent.com/prometheus-operator/prometheus-operator/v0.85.0/example/prometheus-operator-crd/monitoring.coreos.com_\$kind.yaml; done
!!   PARLANCE_TEST_KUBECONFIG=~/.kube/config make test-cluster
TEXT
  return 1
}

unpack() {
  check
  # shellcheck disable=SC2086  # several steps
  "$kit/setup.sh" "$state" ${KIT_STEPS:-}
}

running() { [ -s "$state/pid" ] && kill -0 "$(cat "$state/pid")" 2>/dev/null; }

free_network() {
  local second
  for second in $(seq 97 127); do
    [ -e "/sys/class/net/k8s-10-$second" ] || { echo "10.$second"; return; }
  done
  echo "kit.sh: no network from 10.97 to 10.127 is free (ip link show type veth)" >&2
  return 1
}

up() {
  check
  if running; then
    echo "a cluster runs: export KUBECONFIG=$state/kubeconfig PATH=$state/bin:\$PATH"
    return
  fi
  unpack
  export K8S_NODE=both K8S_GPUS=${K8S_GPUS:-8} K8S_NET=${K8S_NET:-$(free_network)}
  "$kit/up.sh" "$state"
  export KUBECONFIG=$state/kubeconfig PATH=$state/bin:$PATH
  local crds=$state/bin/kuberay
  kubectl apply --server-side -f "$kit/fake-node.yaml" -f "$state/bin/promcrds" -f "$crds/ray.io_rayclusters.yaml" \
    -f "$crds/ray.io_rayservices.yaml" -f "$crds/ray.io_rayjobs.yaml"
  kubectl apply -f "$crds/role.yaml" -f "$kit/kuberay/operator.yaml"
  kubectl wait --for=condition=Established crd --all --timeout=60s >/dev/null
  kubectl wait --for=condition=Ready nodes --all --timeout=60s >/dev/null
  kubectl -n kuberay-system rollout status deployment/kuberay-operator --timeout=120s
  echo "up: export KUBECONFIG=$state/kubeconfig PATH=$state/bin:\$PATH"
}

down() { [ ! -d "$state" ] || [ ! -x "$kit/down.sh" ] || "$kit/down.sh" "$state" "$@"; }

run() {
  if [ -z "${PARLANCE_TEST_KUBECONFIG:-}" ]; then
    check
    running || { trap down EXIT; up; export PARLANCE_TEST_CLUSTER_ENDS=1; }
    export PARLANCE_TEST_KUBECONFIG=$state/kubeconfig PATH=$state/bin:$PATH
  fi
  "$@"
}

verb=${1:-}
[ $# -eq 0 ] || shift
case $verb in
check | unpack | up | down | run) "$verb" "$@" ;;
*) sed -n '2,16s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
