# shellcheck shell=bash
# In the guest, as root, once hostkit has it up: what that took; then both again, on the quiet machine.
monotonic() { systemctl show --value --property "$1" hostkit-ssh-host-keys.service; }
tell() { # NAME
	echo "@@ $1"
	hostkit status --format json
	echo "@@ $1 keys"
	echo "$(monotonic InactiveExitTimestampMonotonic) $(monotonic ActiveEnterTimestampMonotonic)"
}
tell boot
server=$(awk '$2 == "/var/lib/jenkins" { print $1 }' /proc/self/mounts)
key=$(cut -d' ' -f1-2 /etc/ssh/authorized_keys.d/admin | head -n 1)

systemctl stop jenkins hostkit-guard hostkit-lease hostkit-boot hostkit-ssh-host-keys 2>/dev/null
systemctl stop var-lib-jenkins.mount
rm -rf /run/hostkit/* /etc/ssh/ssh_host_*
sleep 5
systemctl start hostkit-ssh-host-keys hostkit-boot
tell quiet

rm -rf /var/lib/cloud /run/cloud-init /etc/cloud/cloud-init.disabled /etc/ssh/ssh_host_*
mkdir -p /var/lib/cloud/seed/nocloud
echo "instance-id: i-bench" >/var/lib/cloud/seed/nocloud/meta-data
cat >/var/lib/cloud/seed/nocloud/user-data <<DATA
#cloud-config
hostname: bench
ssh_genkeytypes: [ed25519]
users: [{name: admin, ssh_authorized_keys: ["$key"]}]
mounts: [['$server', /mnt/bench, nfs4, 'nfsvers=4.1,hard,noresvport,_netdev', '0', '0']]
write_files:
- {path: /run/bench/jenkins.yaml, encoding: b64, content: $(base64 -w0 /run/hostkit/jenkins/casc/00-hostkit.yaml)}
- {path: /run/bench/environment, encoding: b64, content: $(base64 -w0 /run/hostkit/jenkins/environment)}
DATA
systemctl daemon-reload
sleep 5
echo "@@ quiet cloud-init"
from=$(date +%s%N)
systemctl start cloud-init-main.service &&
	systemctl start cloud-init-local.service cloud-init-network.service \
		cloud-config.service cloud-final.service
status=$?
to=$(date +%s%N)
mountpoint -q /mnt/bench && [ -e /etc/ssh/ssh_host_ed25519_key ] && [ -e /run/bench/jenkins.yaml ] &&
	echo "took $(((to - from) / 1000000)) ms" || echo "did not do the work (status $status)"
echo "@@ end"
