#!/bin/sh
# The same for any pipeline: check before the merge, wait for the truth after it.
set -eu
pip install --quiet 'sluice-serving[control]'
case "$1" in
  pull-request) kustomize build overlays/production | sluice validate - ;;
  rolled-out)   sluice watch "$2" --namespace "$3" --until-settled ;;
esac
