//! What must exist: the arguments are those of deployed programs, which are refused by any others.

use tidings_core::{
    ErrorKind, Kind,
    convention::{Convention, Interest},
    topology::{Exchange, Queue, Topology},
};
use tidings_rpc::{Keys, Rpc};

use crate::requests::{KEY, interest, rpc};

fn of(exchanges: &[&str]) -> Topology {
    let mut topology = Topology::new().queue(Queue::new("web1"));
    for name in exchanges {
        topology = topology
            .exchange(Exchange::direct(*name).transient())
            .bind(*name, "web1", "web1");
    }
    topology
}

#[test]
fn an_exchange_is_direct_and_transient_and_bound_by_the_name_of_the_queue() {
    let attached = rpc()
        .attach("any", &interest("create_site"), &rpc().retry_policy())
        .unwrap();
    assert_eq!(attached.topology, of(&["create_site"]));
    assert_eq!(&*attached.queue, "web1");
    let [exchange] = &attached.topology.exchanges[..] else {
        unreachable!("one exchange was asked for");
    };
    assert!(!exchange.durable);
    let [queue] = &attached.topology.queues[..] else {
        unreachable!("one queue was asked for");
    };
    assert!(queue.arguments.is_empty());
}

#[test]
fn exchanges_that_nobody_handles_exist_as_well() {
    let rpc = rpc().exchange("b").unwrap().exchange("a").unwrap();
    let rpc = rpc.exchange("b").unwrap();
    assert_eq!(
        rpc.topology(),
        of(&["b", "a"]),
        "in the order of the file, once"
    );
    let queue = Interest::Queue {
        name: "web1".into(),
        kind: None,
    };
    let fallback = rpc.attach("any", &queue, &rpc.retry_policy()).unwrap();
    assert_eq!(fallback.topology, of(&["b", "a"]));
}

#[test]
fn what_is_no_request_has_no_place_here() {
    for other in [
        Interest::All,
        Interest::Named {
            name: "site.created".into(),
            version: 1,
            kind: Kind::Event,
        },
        Interest::Queue {
            name: "web2".into(),
            kind: None,
        },
    ] {
        let refused = rpc().attach("any", &other, &rpc().retry_policy());
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Misuse, "{other:?}");
    }
}

#[test]
fn names_are_as_long_as_the_wire_can_say() {
    let (longest, longer) = ("q".repeat(255), "q".repeat(256));
    assert!(Rpc::new(longest.clone()).is_ok() && rpc().exchange(longest).is_ok());
    for name in ["", &longer] {
        assert_eq!(Rpc::new(name).unwrap_err().kind(), ErrorKind::Misuse);
        assert_eq!(rpc().exchange(name).unwrap_err().kind(), ErrorKind::Misuse);
    }
}

#[test]
fn strict_keys_want_to_know_what_is_secret() {
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};
    use tidings_core::contract::{Contract, Invalid, Lock, Request};

    #[derive(Serialize, Deserialize, JsonSchema)]
    struct CreateSite {
        password: String,
    }
    impl Contract for CreateSite {
        const NAME: &'static str = "create_site";
        const VERSION: u32 = 1;
        const KIND: Kind = Kind::Call;
        type Reply = ();
    }
    impl Request for CreateSite {
        const LOCK: Lock = Lock::Whole;
        const SECRETS: &'static [&'static str] = &["password"];
        const REMEMBERED: Option<std::time::Duration> = None;
        fn lock_value(&self) -> Option<String> {
            None
        }
        fn validate_reply((): &()) -> Result<(), Invalid> {
            Ok(())
        }
    }

    let interest = Interest::Contract(CreateSite::info());
    let attach = |rpc: &Rpc| rpc.attach("any", &interest, &rpc.retry_policy()).map(drop);
    let lenient = rpc().with_keys(Keys::new([KEY]).unwrap());
    assert!(attach(&lenient).is_ok());
    let strict = rpc().with_keys(Keys::new([KEY]).unwrap().strict());
    let error = attach(&strict).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misuse);
    assert!(error.to_string().contains("with_secrets_of"), "{error}");
    assert!(attach(&strict.with_secrets_of::<CreateSite>()).is_ok());
}
