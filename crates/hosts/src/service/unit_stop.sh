# Stops a unit, unless it is stopped already or is none that can be stopped. A look, the stop and a look after it in one answer:
# each question is a way there and back, and a member is down meanwhile.
# Parameters: unit. Prints what systemd knows; after a stop an empty line, and that once more.
look
if cannot_be_told || has ActiveState=inactive || has ActiveState=failed; then exit 0; fi
# Active without a process of its own: what is to be stopped is another unit.
if has ActiveState=active && has MainPID=0; then exit 0; fi
systemctl stop -- "$unit" || exit 1
echo
look
