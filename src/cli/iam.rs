//! `hostkit iam`: the least policy for what hostkit does on AWS.

use std::process::ExitCode;

use super::table::table;
use crate::iam::{self, Grant, Role, Scope};
use crate::ui::{self, Format};

/// Print the least policy for what hostkit does on AWS
///
/// As IAM's JSON, with conditions by hostkit's tags wherever AWS knows such: what hostkit did not
/// make, it may not change or remove. Without --account and --region it holds everywhere.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  aws iam put-role-policy --role-name ci --policy-name bake \\\n    \
    --policy-document \"$(hostkit iam bake --account 123456789012)\""
)]
pub struct Iam {
    /// Who the policy is for; several make one policy
    #[arg(value_enum, required = true, value_name = "ROLE")]
    roles: Vec<Role>,
    /// The account
    #[arg(long, value_name = "ID", value_parser = account)]
    account: Option<String>,
    /// The region
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// The key that disks are encrypted with, by its ARN or id; may be given several times
    #[arg(long = "kms-key", value_name = "KEY")]
    kms_keys: Vec<String>,
    /// The role that hosts are launched with, by its ARN or name; any if not given
    ///
    /// `hostkit upgrade` has AWS launch by the group's launch template, which takes
    /// iam:PassRole for the role of its instance profile. May be given several times.
    #[arg(long = "host-role", value_name = "ROLE")]
    host_roles: Vec<String>,
    /// Say what each statement is for, instead
    #[arg(long)]
    explain: bool,
}

/// `hostkit iam`.
pub fn run(args: &Iam, format: Format) -> anyhow::Result<ExitCode> {
    let scope = Scope {
        account: args.account.clone(),
        region: args.region.clone(),
        kms_keys: args.kms_keys.clone(),
        host_roles: args.host_roles.clone(),
    };
    if args.explain {
        ui::text(&explain(iam::grants(&args.roles, &scope)));
        return Ok(ExitCode::SUCCESS);
    }
    let policy = iam::policy(&args.roles, &scope);
    match format {
        Format::Json => ui::json(&policy),
        Format::Human => ui::text(&format!("{policy:#}")),
    }
    Ok(ExitCode::SUCCESS)
}

fn explain(grants: impl Iterator<Item = &'static Grant>) -> String {
    let rows: Vec<_> = grants
        .flat_map(|grant| {
            grant.actions.iter().enumerate().map(|(number, action)| {
                let why = if number == 0 { grant.why } else { "" };
                [grant.sid.to_owned(), (*action).to_owned(), why.to_owned()]
            })
        })
        .collect();
    table(["STATEMENT", "ACTION", "FOR"], &rows)
}

fn account(text: &str) -> Result<String, String> {
    let right = text.len() == 12 && text.bytes().all(|digit| digit.is_ascii_digit());
    if right {
        Ok(text.to_owned())
    } else {
        Err("wanted the twelve digits of an account".to_owned())
    }
}
