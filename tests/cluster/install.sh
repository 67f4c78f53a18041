#!/usr/bin/env bash
# Installs the operator by Helm with the images in .cluster/images.env, and prints how to go on.
set -euo pipefail
source "$(dirname "$0")/env.sh"
source "$STATE/images.env"

stage 8 "the operator"
say "installing the operator by Helm"
# Helm installs CRDs once and never changes them; a development cluster wants the present one
kubectl apply --server-side --force-conflicts -f "$ROOT/crds/securemodels.securemodel.dev.yaml" >/dev/null
step "$CACHE/log/helm.log" helm upgrade --install securemodel "$ROOT/charts/securemodel" --namespace securemodel-system --create-namespace --wait --timeout 90s \
    --set "image.operator.tag=${OPERATOR_IMAGE##*:},image.share.tag=${SHARE_IMAGE##*:},image.player.tag=${PLAYER_IMAGE##*:}"
cat >&2 <<END

The cluster $CLUSTER runs the operator. For kubectl, helm and securemodel in this shell:

    export KUBECONFIG=$KUBECONFIG
    export PATH=$BIN:$ROOT/.venv/bin:\$PATH
END
