#!/usr/bin/env bash
# First contact, no AWS account: bakes a Jenkins controller image, boots it in a virtual machine
# with a simulated AWS around it, and proves that Jenkins lives on the NFS file system.
#
#   examples/demo.sh          or `make demo`; everything it makes is in out/
#   JENKINS_PACKAGE=FILE.deb  installs that package
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=.ci/common.sh
. .ci/common.sh

JENKINS_REPOSITORY=https://pkg.jenkins.io
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
hostkit=$CARGO_TARGET_DIR/release/hostkit
image=out/jenkins-controller.raw
efs=out/efs
started=$SECONDS

main() {
	.ci/setup
	say 'building hostkit (minutes the first time: the AWS clients are large)'
	cargo build --locked --release
	mkdir -p "$efs"
	choose_jenkins

	say "baking $image"
	as_root "$hostkit" bake jenkins-controller "${variables[@]}" -o out
	keep_ours "$image"

	say 'booting it; its home is an NFS export of out/efs, its keys come from a simulated Parameter Store'
	local before
	before=$(date +%s)
	as_root "$hostkit" vm "$image" --efs "$efs" --until ready --until http:8080/login \
		-- hostkit status

	say 'looking at what Jenkins left on the file system'
	prove "$before"
	say "all of that was true, after $(((SECONDS - started) / 60)) min $(((SECONDS - started) % 60)) s"
	note "the image: $image; its home: $efs; once more, with a console:"
	note "$([ "$(id -u)" -eq 0 ] || echo 'sudo ')$hostkit vm $image --efs $efs --console"
}

# The real Jenkins if it can be had.
choose_jenkins() {
	variables=()
	if [ -n "${JENKINS_PACKAGE:-}" ]; then
		note "Jenkins is the package $JENKINS_PACKAGE"
		variables=(--var "jenkins_package=$(realpath "$JENKINS_PACKAGE")")
	elif ! curl --silent --fail --max-time 5 --output /dev/null "$JENKINS_REPOSITORY"; then
		shout "NOT THE REAL JENKINS: $JENKINS_REPOSITORY cannot be reached, so a stand-in is" \
			"installed (docs/fidelity.md)"
		tests/fixtures/jenkins-package/build.sh out/jenkins-stand-in.deb
		variables=(--var "jenkins_package=$PWD/out/jenkins-stand-in.deb")
	fi
}

# The bake runs as root; what it made belongs to whoever started it.
keep_ours() {
	[ "$(id -u)" -eq 0 ] || as_root chown "$(id -u):$(id -g)" out "$1" "${1%.raw}".*
}

prove() {
	local home=$efs/home
	for file in config.xml secrets/master.key; do
		as_root test -s "$home/$file" || die "Jenkins did not write $home/$file"
	done
	local owner
	owner=$(as_root stat -c %u "$home/secrets/master.key")
	[ "$owner" -ne 0 ] || die "$home/secrets/master.key belongs to root, not to Jenkins"
	[ -n "$(as_root find "$home" -type f -newermt "@$1" -print -quit)" ] ||
		die "nothing in $home was written by this boot"
	# 1 is grep's word for «nowhere»; 0 and anything else is not.
	local status=0
	as_root grep -rlIE -e '-----BEGIN .*PRIVATE KEY-----' "$efs" || status=$?
	[ "$status" -eq 1 ] || die "a private key is in plain text on the file system"
	as_root ls -l "$home" | sed 's/^/    /'
}

main
