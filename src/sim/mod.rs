//! The rehearsal account: a simulated AWS whose instances are real virtual machines.
//!
//! It speaks AWS's own wire protocols, so that the agent in the guest runs with the real SDK and
//! cannot tell. [`account`] is the state; one file a service answers requests from it by pure
//! functions (`fn(&mut Account, &Request) -> Reply`); [`endpoint`] sorts requests by service, and
//! has [`disturbance`]s happen; [`cloud`] serves it all to programs outside, and [`machines`] boots
//! what those launch; [`vm`] boots one image in it, [`fleet`] several machines, and [`failover`]
//! plays bad nights on those. It never reaches beyond the loopback interface, and nothing else of
//! hostkit but `cli` knows it.

pub mod account;
pub mod alarm;
pub mod autoscaling;
pub mod aws_json;
pub mod backup;
pub mod call;
pub mod cloud;
pub mod cloudwatch;
pub mod cluster;
pub mod conditions;
pub mod disk;
pub mod disturbance;
pub mod ebs;
pub mod ec2;
pub mod ecs;
pub mod efs;
pub mod elb;
pub mod encryption_key;
pub mod endpoint;
pub mod failover;
pub mod faults;
pub mod fleet;
pub mod group;
pub mod hosts;
pub mod http;
pub mod image;
pub mod imds;
pub mod instance;
pub mod keep;
pub mod key_pair;
pub mod kms;
pub mod launch_template;
pub mod machines;
pub mod metric;
pub mod network;
pub mod nfs;
pub mod nights;
pub mod notice;
pub mod parameter_store;
pub mod parameters;
pub mod quota;
pub mod random;
pub mod record;
pub mod refresh;
pub mod region;
pub mod relay;
pub mod security_group;
pub mod seed;
pub mod service;
pub mod shortage;
pub mod signature;
pub mod snapshot;
pub mod ssm;
pub mod store;
pub mod sts;
pub mod target_group;
pub mod timeline;
pub mod upgrade;
pub mod user_data;
pub mod vault;
pub mod vm;
pub mod volume;
pub mod xml;
