# Tells whether packages are kept from starting anything here, for this plan: what an earlier one left behind is nobody's to put
# back, so it does not count. Parameters: folder of the policy, cluster, plan. Prints `held` or `free`.
set -u
policy=$1/policy-rc.d
if [ -x "$policy" ] && grep -qxF -- "# Made by Quorate for a run on cluster $2" "$policy" &&
    grep -qxF -- "# Plan $3" "$policy"; then echo held; else echo free; fi
