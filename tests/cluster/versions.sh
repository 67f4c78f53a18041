# shellcheck shell=bash disable=SC2034
# What the cluster is made of. A change here makes a new node image.
KUBE=v1.34.4 KIND=v0.33.0 COREDNS=v1.12.1 HELM=v3.21.4 LOCALPATH=v0.0.30
