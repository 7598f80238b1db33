//! Tests of hostkit from outside: the binary, the repository around it, and machines that it makes.
//! One binary, so that the AWS clients are linked once.

mod cli;
mod imports;
mod jenkins_package;
mod layers;
mod support;
