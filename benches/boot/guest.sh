# In the guest, as root, once hostkit has it up: what hostkit took, then cloud-init with the same work.
# KEYS: the kinds of SSH host keys that cloud-init makes; empty is its own choice.
monotonic() { systemctl show --value --property "$1" hostkit-ssh-host-keys.service; }
echo "@@ report"
hostkit status --format json
echo "@@ keys"
echo "$(monotonic InactiveExitTimestampMonotonic) $(monotonic ActiveEnterTimestampMonotonic)"
server=$(awk '$2 == "/var/lib/jenkins" { print $1 }' /proc/self/mounts)
options=$(awk '$2 == "/var/lib/jenkins" { print $4 }' /proc/self/mounts | tr , '\n' |
	grep -E '^(vers|rsize|wsize|hard|noresvport|timeo|retrans|port)' | paste -sd,)
key=$(cut -d' ' -f1-2 /etc/ssh/authorized_keys.d/admin | head -n 1)
measure() { # NAME KEYS
	rm -rf /var/lib/cloud /run/cloud-init /etc/cloud/cloud-init.disabled /etc/ssh/ssh_host_*
	umount /mnt/bench 2>/dev/null
	sed -i '/mnt.bench/d' /etc/fstab
	mkdir -p /var/lib/cloud/seed/nocloud
	echo "instance-id: i-$1" >/var/lib/cloud/seed/nocloud/meta-data
	{
		echo '#cloud-config'
		echo 'hostname: bench'
		[ -z "$2" ] || echo "ssh_genkeytypes: [$2]"
		echo 'users: [{name: admin, ssh_authorized_keys: ["'"$key"'"]}]'
		echo "mounts: [['$server', /mnt/bench, nfs4, '$options,_netdev', '0', '0']]"
		echo 'write_files:'
		echo '- {path: /run/bench/jenkins.yaml, permissions: "0644", encoding: b64, content: '"$(base64 -w0 /run/hostkit/jenkins/jenkins.yaml)"'}'
		echo '- {path: /run/bench/environment, permissions: "0644", encoding: b64, content: '"$(base64 -w0 /run/hostkit/jenkins/environment)"'}'
	} >/var/lib/cloud/seed/nocloud/user-data
	systemctl daemon-reload
	echo "@@ $1"
	from=$(date +%s%N)
	systemctl start cloud-init-main.service &&
		systemctl start cloud-init-local.service cloud-init-network.service \
			cloud-config.service cloud-final.service
	status=$?
	to=$(date +%s%N)
	mountpoint -q /mnt/bench && [ -e /etc/ssh/ssh_host_ed25519_key ] && [ -e /run/bench/jenkins.yaml ] &&
		echo "took $(((to - from) / 1000000)) ms" || echo "did not do the work (status $status)"
	cloud-init analyze blame 2>/dev/null | head -n 6
	[ "$status" = 0 ] || cloud-init status --long
	systemctl stop cloud-final cloud-config cloud-init-network cloud-init-local cloud-init-main
}
measure same ed25519
measure default ''
echo "@@ end"
