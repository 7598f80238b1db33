//! Where unit tests ask EC2.

use std::time::Duration;

use jiff::SignedDuration;

use super::answer;
use crate::sim::account::{Account, REGION};
use crate::sim::call::Call;
use crate::sim::http::{Reply, Request};
use crate::sim::parameter_store::ParameterStore;
use crate::sim::parameters::{Kind, Parameters};
use crate::sim::region::Region;
use crate::sim::service::Service;
use crate::sim::snapshot::Snapshot;
use crate::sim::snapshot::tests::empty;

/// An account, and who asks for it.
pub(in crate::sim) struct Desk {
    pub(in crate::sim) account: Account,
}

impl Desk {
    pub(in crate::sim) fn new() -> Self {
        let mut account = Account::new(Parameters::default());
        account.conditions.speed = 1.0;
        Self { account }
    }

    /// The status and the body of an answer. White space in the query does not count.
    pub(in crate::sim) fn ask(&mut self, query: &str) -> (u16, String) {
        self.ask_in(REGION, query)
    }

    /// The same in some region.
    pub(in crate::sim) fn ask_in(&mut self, region: &str, query: &str) -> (u16, String) {
        let query = query.split_whitespace().collect();
        let reply = put(&mut self.account, region, query);
        (reply.status, reply.body.to_string())
    }

    /// The answer to what must succeed.
    pub(in crate::sim) fn done(&mut self, query: &str) -> String {
        let (status, body) = self.ask(query);
        assert_eq!(status, 200, "{query}: {body}");
        body
    }

    /// The code and the message of a refusal.
    pub(in crate::sim) fn refused(&mut self, query: &str) -> (String, String) {
        let (status, body) = self.ask(query);
        assert_ne!(status, 200, "{query}: {body}");
        (inner(&body, "Code"), inner(&body, "Message"))
    }

    /// The code of a refusal.
    pub(in crate::sim) fn code(&mut self, query: &str) -> String {
        self.refused(query).0
    }

    pub(in crate::sim) fn region(&mut self) -> &mut Region {
        self.account.region(REGION)
    }

    /// A parameter, there from the beginning.
    pub(in crate::sim) fn parameter(&mut self, name: &str, value: &str) {
        let parameters = Parameters::default().with(name, Kind::String, value);
        self.region().parameters = ParameterStore::of(&parameters);
    }

    /// Time goes by.
    pub(in crate::sim) fn wait(&mut self, time: Duration) {
        self.account.skip(time);
        self.account.conditions.clock_ahead += SignedDuration::try_from(time).unwrap();
    }

    /// A snapshot that is whole, as EBS direct leaves one.
    pub(in crate::sim) fn snapshot(&mut self) -> String {
        let id = super::id::Kind::Snapshot.fresh();
        let snapshot = Snapshot { started: self.account.world(), ..empty(&id, 4) };
        self.region().snapshots.insert(id.clone(), snapshot);
        id
    }

    /// An image of a fresh snapshot, available.
    pub(in crate::sim) fn image(&mut self, name: &str) -> (String, String) {
        let snapshot = self.snapshot();
        let body = self.done(&register(name, &snapshot));
        self.wait(crate::sim::conditions::IMAGE);
        (inner(&body, "imageId"), snapshot)
    }
}

/// One request of the operator.
pub(in crate::sim) fn put(account: &mut Account, region: &str, query: String) -> Reply {
    let request = Request { query, ..Request::default() };
    let call = Call { region: region.to_owned(), ..Call::for_tests(Service::Ec2, "", &request) };
    let now = account.now();
    answer(account, &call, now)
}

/// A request for an image.
pub(in crate::sim) fn register(name: &str, snapshot: &str) -> String {
    format!(
        "Action=RegisterImage&Name={name}&Architecture=x86_64&RootDeviceName=/dev/xvda\
         &VirtualizationType=hvm&EnaSupport=true&BlockDeviceMapping.1.DeviceName=/dev/xvda\
         &BlockDeviceMapping.1.Ebs.SnapshotId={snapshot}&BlockDeviceMapping.1.Ebs.VolumeType=gp3"
    )
}

/// What stands in the first element of a name.
pub(in crate::sim) fn inner(body: &str, name: &str) -> String {
    let (_, rest) = body.split_once(&format!("<{name}>")).unwrap_or_else(|| panic!("{body}"));
    rest.split_once(&format!("</{name}>")).unwrap_or_else(|| panic!("{body}")).0.to_owned()
}
