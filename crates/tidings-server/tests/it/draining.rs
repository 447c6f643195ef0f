//! A drain loses no answer and no acknowledgement, and gives back what has not begun.

use serde_json::json;

use crate::rig::{Rig, SECOND};

#[tokio::test(start_paused = true)]
async fn handlers_at_work_are_answered_and_who_waits_goes_back_to_the_queue() {
    let mut rig = Rig::new().await;
    let running = rig.server().start(rig.router()).await.unwrap();
    for number in 1..=4 {
        rig.work("a", number).await;
    }
    rig.work("b", 5).await;
    rig.work("c", 6).await;
    let mut begun = [rig.begun().await, rig.begun().await];
    begun.sort();
    assert_eq!(begun, ["work a1", "work b5"]);
    let drain = running.drain(60 * SECOND);
    let stage = rig.stage.clone();
    let finish = async {
        tokio::task::yield_now().await;
        stage.go(2);
    };
    let (drained, ()) = tokio::join!(drain, finish);
    assert!(drained.complete);
    let mut answered = [rig.told().await, rig.told().await];
    answered.sort();
    let worked = |id: &str| (id.to_owned(), "Worked".to_owned());
    assert_eq!(answered, [worked("1"), worked("5")]);
    rig.depth(4).await;
    assert_eq!(rig.begun_already(), None);

    let _next = rig.server().start(rig.router()).await.unwrap();
    rig.go(4);
    let mut rest = Vec::new();
    for _ in 0..4 {
        rest.push(rig.told().await.0);
    }
    rest.sort();
    assert_eq!(rest, ["2", "3", "4", "6"]);
    rig.depth(0).await;
}

#[tokio::test(start_paused = true)]
async fn a_paused_server_gives_back_who_waits_and_takes_them_again() {
    let mut rig = Rig::new().await;
    let running = rig.server().start(rig.router()).await.unwrap();
    rig.work("a", 1).await;
    rig.work("a", 2).await;
    assert_eq!(rig.begun().await, "work a1");
    running.pause("web1").await.unwrap();
    rig.go(2);
    assert_eq!(rig.told().await.0, "1");
    rig.depth(1).await;
    assert_eq!(rig.begun_already(), None);
    rig.ask("work", json!({"key": "a", "number": 3})).await;
    running.resume("web1").await.unwrap();
    rig.go(1);
    assert_eq!(rig.told().await.0, "2");
    assert_eq!(rig.told().await.0, "3");
}
