//! hostkit: one binary that bakes images of Jenkins controllers, build agents and container hosts,
//! and boots them.
//!
//! # The architecture in five sentences
//!
//! 1. A [`recipe::Recipe`] (TOML, nouns) with its variables becomes a [`plan::Plan`] (JSON, an
//!    ordered list of a closed set of [`step::Step`]s) by a pure function.
//! 2. A plan is applied to a [`sys::Host`] (a root directory plus a way to run programs), and
//!    nothing else changes what is installed in an image.
//! 3. The same binary is the boot agent inside the image: [`boot`] runs a table of steps as a
//!    graph under systemd.
//! 4. One tree is built, cleaned and packed; a disk image and an OCI layout are two ways to pack
//!    it ([`image`]); an AMI is such a disk, whose changed blocks were sent ([`image::ami`]).
//! 5. Engines emit [`event::Event`]s; a [`report::Report`] is their fold; only [`ui`] prints; an
//!    error says who must act ([`error::Blame`]), and `main` makes that the exit code.
//!
//! # The rooms
//!
//! What users write, and what becomes of it:
//!
//! - [`recipe`]: the types of a recipe, `extends`, variables, and the files that recipes name
//! - [`recipe::read()`]: from a name to a recipe without holes, or to every [`recipe::Problem`] at its
//!   line and column
//! - [`plan`]: (recipe, variables, hashes) to steps in their fixed order, with a digest; pure
//! - [`step`]: the closed set of things that a plan can do, one file a kind; [`step::site`] is where
//!   they do it, or only tell
//! - [`apply`]: runs a plan on a host, and stops at the first step that fails; or checks one
//!
//! What an image is:
//!
//! - [`image`]: the table of contents of a bake, and what must be true before it begins
//! - [`image::tree`], [`image::layers`]: the layers of a tree, their keys, what is built and what is
//!   taken from the cache; [`image::workspace`]: the folder of one bake
//! - [`image::cache`]: what is in the cache, and what goes when it is too large
//! - [`plan::lock`]: what an image resolved to, so that the next bake gets the same; `agreement`:
//!   what is chosen today against it
//! - [`image::hygiene`]: what must not be in an image, removed or refused, and then proven to be
//!   gone; its [`image::hygiene::canon`] is a table. [`image::secrets`]: the values of secret
//!   variables, looked for in all that a bake makes
//! - [`image::checks`]: the tests of an image, in its tree and on the machine that booted it
//! - [`image::sbom`]: the bill of materials
//! - `image::existing`: a disk that is there already, changed in place; [`image::shell`]: a shell in
//!   a tree
//! - [`image::contents`], [`image::difference`], [`image::archive`]: what is in a tree, what makes
//!   one tree out of another, and a tree as an archive whose bytes depend on nothing else
//! - `image::pack`: what is made of a tree. [`image::disk`] (with `foundation`, which is cached,
//!   `ext4` in its two passes, [`image::layout`], [`image::grub`], `efi`): a disk that boots; `oci`:
//!   a container image
//! - [`image::blocks`]: a disk as a table of blocks, by which two are compared
//! - [`image::upload`]: a disk into an EBS snapshot. [`image::upload::plan`] is what of it is sent; how
//!   fast, and what when it fails, is decided by functions of the time
//! - [`image::manifest`], [`image::files`], [`image::publish`]: what is in an image, and how it takes
//!   the place of the last one; [`image::compare`]: what differs between two
//!
//! What becomes of an image on AWS:
//!
//! - [`image::ami`]: from a packed disk to an AMI, and then to regions, accounts and whatever points to
//!   it. [`image::ami::build`] is the flow, [`image::ami::distribute`] publishes
//! - [`image::upload`]: the blocks that the parent of a snapshot has not. [`image::block_table`] is how
//!   a disk tells its own blocks to whoever has nothing but its snapshot
//! - [`image::builder`]: an AMI by way of an instance, where the base is one
//! - [`teardown`]: the journal of a build, written before anything is made
//!
//! What happens on a host:
//!
//! - [`host`]: the types of `host.toml`, one file a section; how its layers are merged, and what its
//!   values may be; pure, and known to all
//! - [`boot`]: the agent; [`boot::steps`] has a table for each role (controller, build agent,
//!   container host), [`boot::graph`] its order, [`boot::run`] runs it, and each step has a file of
//!   its own
//! - `boot::mount`: file systems are found, probed and mounted, and every way in which that fails is
//!   told apart
//! - [`boot::inside`]: what is done on the mounted home, in a child that can be killed: first contact,
//!   the gate between versions, plugins, and what is kept aside for the way back
//! - [`boot::plan`]: what a boot would do, with which values and who said them; [`boot::only`]: one
//!   step again, by hand
//! - [`boot::status`]: the report of a boot, and how `hostkit status` tells about it
//! - [`guard`]: what lives as long as the host. [`guard::wish`] is what is wanted of it,
//!   [`guard::drain`] how it goes, both without I/O; [`guard::envoy`] is the child that speaks to AWS
//! - [`lease`]: who holds the home. [`lease::record`] is what stands on the file system, [`lease::word`]
//!   what AWS says and what that proves; [`lease::claim`] and [`lease::keep`] decide, without I/O;
//!   [`lease::clerk`] is the child that touches the file system, and its `Desk` the asker's side;
//!   [`lease::witness`] is the one that asks AWS; [`lease::ground`] tells whose a file system is;
//!   [`lease::visit`] is a person's look at the lease, or break
//! - [`group`]: what a host says to its Auto Scaling group, when it boots and when it goes: hooks that
//!   wait, and its health; [`group::ledger`] counts how often
//! - [`boot::records`]: a record of every boot, here and on the home; [`boot::analyze`]: where the time
//!   of one went; [`boot::bundle`]: what somebody needs who was not there
//! - [`logs`]: the journal, shipped to CloudWatch Logs
//! - [`jenkins`]: what is rendered for Jenkins, and how it is asked
//! - [`efs`]: how a file system is reached: its names, and what answers at its addresses; what the
//!   boot and the doctor share
//! - [`keys`]: what counts as a key, asking for keys, and making and exchanging them from outside;
//!   what a host does with its keys is in [`boot`], at boot and when [`boot::refresh`] reads them again
//! - [`facts`]: what the kernel and the metadata service say of this machine, as plain values;
//!   [`facts::ecs_agent`], what its ECS agent says
//!
//! What is done to AWS from outside:
//!
//! - [`fleet`]: [`fleet::survey`] is what an account has, [`fleet::references`] who uses it;
//!   [`fleet::images`] lists it, [`fleet::prune`] and [`fleet::gc`] decide what may go, without I/O,
//!   and remove it
//! - [`fleet::rollout`]: a new image in service, proven, or the old one back
//! - [`fleet::rollout::survey`]: everything that an upgrade must know, read at once;
//!   [`fleet::rollout::preflight`] says all that speaks against it, [`fleet::rollout::plan`] what would
//!   be done, both without I/O; [`fleet::rollout::prospect`] is what follows
//! - [`doctor`]: what is wrong, what shows it, and the line that mends it; [`doctor::group`]: whether
//!   an Auto Scaling group is fit for what it holds
//! - [`doctor::efs`]: the storage under Jenkins. [`doctor::efs::table`] is every check, each in a file of
//!   its own: what it sees is plain data, and what that means is decided without I/O, here or from a
//!   bundle; [`doctor::efs::engine`] runs them
//! - [`doctor::recover`]: a home brought back, by renames, with a journal and a way back;
//!   [`doctor::recover::backup`], [`doctor::recover::throughput`] and [`doctor::recover::failover`] are
//!   what AWS is asked for before
//! - [`iam`]: the least policies, as a table
//!
//! How anything outside is touched. These two do not know each other:
//!
//! - [`sys`]: programs ([`sys::runner`], [`sys::tool`]; [`sys::dialogue`] is one that is asked again
//!   and again), files below a root ([`sys::root`]) and by the handle of their directory
//!   ([`sys::folder`]), namespaces ([`sys::namespaces`]), systemd ([`sys::systemd`])
//! - [`aws`]: thin functions over the SDK's clients, one file a service, our types out; as whom calls
//!   are made is [`aws::operator`]'s for a person, and the instance role's on a host;
//!   [`aws::imds`] is the metadata service, asked without the SDK
//!
//! What is said, and to whom:
//!
//! - [`event`]: what engines say while they work
//! - [`report`]: what a run did, folded from its events
//! - [`secret`]: values that are used and never shown or kept; what leaves a process goes through
//!   [`secret::redact()`]
//! - [`error`]: errors sorted by who must act
//! - [`ui`]: how events, results and errors are printed
//! - [`cli`]: the command line, one file a verb
//! - [`digest`]: SHA-256, which names content everywhere
//!
//! The rehearsal account:
//!
//! - [`sim`]: a simulated AWS whose instances are virtual machines; a cargo feature, on by default,
//!   that only [`cli`] knows
//! - [`sim::cloud`]: the account as a server, for hostkit, boto3, the AWS CLI and coldsnap; one file a
//!   service ([`sim::backup`], [`sim::ebs`], [`sim::ec2`], [`sim::ecs`], [`sim::ssm`]), what goes
//!   wrong on purpose ([`sim::faults`]), and [`sim::machines`], the virtual machines of the instances that are launched
//!   in it
//! - [`sim::refresh`]: how a group replaces its instances. [`sim::hosts`]: what instances do that have
//!   a script instead of a machine, so that whole upgrades are tried in seconds
//! - [`sim::vm`]: one machine, seen through a boot. [`sim::fleet`]: several of them on file systems
//!   that they share. [`sim::failover`]: the bad nights that are played on them
//! - [`sim::nfs`]: its file systems, the record of which machine changed what in them, and the check
//!   that two never wrote a home at the same time
//!
//! # The invariants
//!
//! - **Layers.** Which room may import which is a table in `tests/it/layers.rs`; a test reads the
//!   `crate::` paths of every file, and names file and line of one that is not allowed.
//! - **Who prints: [`ui`].** Kept by clippy (`print_stdout`, `print_stderr` in `Cargo.toml`). The
//!   parser prints help and errors of usage; the last words of a failed boot go to the machine's
//!   consoles by [`sys::console`].
//! - **Who starts programs: [`sys::Runner`].** Kept by clippy (`disallowed-methods` in
//!   `.clippy.toml`), with one more, marked place in [`sys::namespaces`]: the second half of one
//!   start. What may be started is the closed set [`sys::Tool`]. A child gets a closed environment
//!   and a deadline ([`sys::Cmd`]), and dies with hostkit ([`sys::namespaces::tether`]).
//! - **Who mounts: [`sys::namespaces`], [`sys::overlay`] and [`sys::loopdev`]**, and only inside a
//!   mount namespace that ends with the program in it: a bake makes its own before it has threads.
//!   On a host systemd mounts, asked by the `efs` step: the boot unit has no right to. That nobody else uses `nix::mount` is kept by review.
//! - **The mounted home is never touched in the agent's process**, because a dead server would hang
//!   it for ever. Steps send a [`boot::inside::Request`] to a child with a deadline, and the lease's
//!   process a [`lease::clerk::Request`] to another; what is mounted is read from the kernel's table ([`sys::mountinfo`]). Kept by review.
//! - **Steps write below a target root through `openat2(RESOLVE_IN_ROOT)`** ([`sys::Root`]): no
//!   link leads out of the tree. What enters a tree (`sys::namespaces`) and what packs it
//!   ([`image::disk`], `mke2fs`) takes its path as a whole. Kept by review.
//! - **Files are whole or not there**: [`sys::atomic`] on a host, [`sys::Root`] in a tree,
//!   [`image::publish`] for an image.
//! - **Secrets** are in no recipe, no plan and no image. The value of a secret variable is kept
//!   apart from those that text is rendered with ([`recipe::vars`]), so that it cannot get there.
//!   On a host they are in 0400 files on tmpfs (the `keys` step), which systemd hands to Jenkins;
//!   rendered text only names them ([`jenkins`]). [`aws::ssm::Values`] wipes its values and does not
//!   show them. The tests of the baked machine (`tests/it/machine/`) look for them in the image,
//!   the file system, the journal and the console.
//! - **Nothing is lost on AWS.** What a build makes stands in its journal before it is made, and carries
//!   the tags [`teardown::BUILD_TAG`] and [`teardown::STATE_TAG`]. `tests/it/ami.rs` kills bakes of disks
//!   at twenty moments, and finds the account empty after `hostkit gc`.
//! - **Exit codes** say who must act: [`error::Blame::exit_code`]. The outermost [`error::Fault`]
//!   of a chain decides, and an error without one is a bug. Two verbs end with a number of their own:
//!   `status` ([`boot::status::Status::exit_code`]) and `vm` (that of the guest's command).
//! - **A check changes nothing**: steps change a host through [`step::site`] alone, or ask it first.
//!   The tests of each kind (`tests/it/steps/`) check before they apply. Kept by review.
//! - **No `unsafe`**: forbidden in `Cargo.toml`.

pub mod apply;
pub mod aws;
pub mod boot;
pub mod cli;
pub mod digest;
pub mod doctor;
pub mod efs;
pub mod error;
pub mod event;
pub mod facts;
pub mod fleet;
pub mod group;
pub mod guard;
pub mod host;
pub mod iam;
pub mod image;
pub mod jenkins;
pub mod keys;
pub mod lease;
pub mod logs;
pub mod plan;
pub mod recipe;
pub mod report;
pub mod secret;
#[cfg(feature = "sim")]
pub mod sim;
pub mod step;
pub mod sys;
pub mod teardown;
pub mod ui;
