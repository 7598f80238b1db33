//! Tests of hostkit from outside: the binary, the repository around it, and machines that it makes.
//! One binary, so that the AWS clients are linked once.

#![expect(clippy::unwrap_used, reason = "a test that cannot do its work stops there")]
#![expect(clippy::disallowed_methods, reason = "tests start programs and wait without a runtime")]
#![expect(clippy::print_stderr, reason = "a skipped test must not look like a passed one")]

mod account;
mod ami;
mod bake;
mod builder;
mod cache;
mod check;
mod clerk;
mod cli;
mod container_service;
mod dead_mount;
mod ec2;
mod ecs_drain;
mod efs_api;
mod efs_backup;
mod efs_check;
mod efs_home;
mod efs_net;
mod efs_recover;
mod efs_recovery;
mod engine;
mod fleet;
mod fuse;
mod home;
mod host_config;
mod hygiene;
mod iam;
mod image_tests;
mod images;
mod imports;
mod instances;
mod jenkins_client;
mod jenkins_package;
mod keys;
mod language;
mod layers;
mod lease;
mod machine;
mod pack;
mod parsers;
mod plans;
mod preflight;
mod publish;
mod rehearsal_account;
mod rehearsal_group;
mod rehearsal_groups;
mod rehearsal_refresh;
mod rolling;
mod runbook;
mod sim_blocks;
mod sim_images;
mod stand_ins;
mod steps;
mod support;
mod units;
mod upgrade;
mod upgrade_binary;
mod upload;
