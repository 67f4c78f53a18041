#!/bin/sh
# nobodys-addresses.sh PODS SERVICES, inside a node: an address of these ranges that nobody has (any more) is unreachable.
# Without it, packets to a dead pod or a deleted service leave the node, and then the machine, by the default route.
set -eu
pods=$1 services=$2

# routes to living pods and to other nodes are longer, so they come before this one
ip route replace unreachable "$pods"

# Packets of pods are routed after kube-proxy has put a pod in the service's place; the node's own are routed before that too, so for them the range stays routable,
# and what still carries a service's address when kube-proxy is done is refused.
# shellcheck disable=SC2046,SC2086 # a route and a rule have several words
ip route replace table 96 $(ip route show default | head -n 1)
[ -n "$(ip rule show table 96)" ] || ip rule add iif lo to "$services" lookup 96
refuse="OUTPUT -d $services -j REJECT --reject-with icmp-host-unreachable"
iptables -w 10 -C $refuse 2>/dev/null || iptables -w 10 -A $refuse
ip route replace unreachable "$services"
