use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::{http::Access, metrics::Registry};

const NUMBERS: &[ParamDoc] = &[
    ParamDoc { name: "left", help: "first", optional: false },
    ParamDoc { name: "right", help: "second", optional: true },
];

fn service(limits: Limits) -> Arc<Service<()>> {
    let mut methods = Methods::new();
    methods.add(Spec::open("add", "Sum of two numbers", NUMBERS), |_: &(), params| {
        let left: i64 = params.required(0, "left")?;
        let right: i64 = params.optional(1, "right")?.unwrap_or(1);
        Ok(json!(left + right))
    });
    methods.add(Spec { access: Access::Full, ..Spec::open("stop", "Stops", &[]) }, |_, _| Ok(json!(true)));
    methods.add(Spec::open("big", "A long text", &[]), |_, _| Ok(json!("x".repeat(1000))));
    methods.add_async(Spec::open("wait", "Waits", &[]), |_, _| async {
        tokio::time::sleep(Duration::from_secs(3600)).await;
        Ok(Value::Null)
    });
    Service::new(methods, Arc::new(()), Dialect::default(), limits, &Registry::new("demo"))
}

async fn ask(service: &Service<()>, body: &str) -> Value {
    let reply = service.handle(body.as_bytes(), Access::Open).await.unwrap();
    reply.map_or(Value::Null, |bytes| serde_json::from_slice(&bytes).unwrap())
}

#[tokio::test]
async fn calls_are_answered_by_position_and_by_name_and_the_id_is_echoed() {
    let service = service(Limits::default());
    let by_position = ask(&service, r#"{"jsonrpc":"2.0","method":"add","params":[2,3],"id":"a"}"#).await;
    assert_eq!(by_position, json!({"jsonrpc":"2.0","id":"a","result":5}));
    let by_name = ask(&service, r#"{"method":"add","params":{"left":2},"id":7}"#).await;
    assert_eq!(by_name, json!({"jsonrpc":"2.0","id":7,"result":3}));
}

#[tokio::test]
async fn malformed_requests_get_the_code_of_their_kind() {
    let service = service(Limits::default());
    let deep = "[".repeat(65);
    let cases = [
        ("{", -32700),
        (deep.as_str(), -32700),
        ("1", -32600),
        ("[]", -32600),
        (r#"{"id":1}"#, -32600),
        (r#"{"jsonrpc":"1.0","method":"add","id":1}"#, -32600),
        (r#"{"method":"add","id":{}}"#, -32600),
        (r#"{"method":"none","id":1}"#, -32601),
        (r#"{"method":"add","id":1}"#, -32602),
        (r#"{"method":"add","params":["x"],"id":1}"#, -32602),
        (r#"{"method":"add","params":{"middle":1},"id":1}"#, -32602),
        (r#"{"method":"add","params":3,"id":1}"#, -32602),
        (r#"{"method":"stop","id":1}"#, -32001),
    ];
    for (body, code) in cases {
        assert_eq!(ask(&service, body).await["error"]["code"], json!(code), "{body}");
    }
}

#[tokio::test]
async fn batches_keep_their_order_drop_notifications_and_are_bounded() {
    let service = service(Limits { batch: 3, ..Limits::default() });
    let reply = ask(
        &service,
        r#"[{"method":"add","params":[1],"id":1},{"method":"add","params":[1]},{"method":"add","params":[2],"id":2}]"#,
    )
    .await;
    assert_eq!(reply, json!([{"jsonrpc":"2.0","id":1,"result":2},{"jsonrpc":"2.0","id":2,"result":3}]));
    assert_eq!(ask(&service, r#"[{"method":"add","params":[1]}]"#).await, Value::Null);
    assert_eq!(ask(&service, "[1,1,1,1]").await["error"]["data"]["limit"], json!(3));
}

#[tokio::test]
async fn slow_calls_time_out_and_large_answers_are_refused() {
    let service =
        service(Limits { reply_bytes: 500, timeout: Duration::from_millis(20), ..Limits::default() });
    assert_eq!(ask(&service, r#"{"method":"wait","id":1}"#).await["error"]["code"], json!(-32002));
    assert_eq!(ask(&service, r#"{"method":"big","id":1}"#).await["error"]["code"], json!(-32003));
}

#[tokio::test]
async fn the_request_above_the_queue_is_told_to_come_back() {
    let service = service(Limits { running: 1, queue: 0, ..Limits::default() });
    let refused = tokio::select! {
        biased; // the first has the only turn when the second comes
        _ = service.handle(br#"{"method":"wait","id":1}"#, Access::Open) => panic!("it waits"),
        second = service.handle(br#"{"method":"add","params":[1],"id":1}"#, Access::Open) => second.is_err(),
    };
    assert!(refused);
}

#[test]
fn the_document_lists_every_method() {
    let document = service(Limits::default()).methods().openrpc("demo", "1");
    let names: Vec<_> =
        document["methods"].as_array().unwrap().iter().map(|method| method["name"].clone()).collect();
    assert_eq!(names, ["add", "big", "stop", "wait"]);
    assert_eq!(document["methods"][0]["params"][1]["required"], json!(false));
    assert_eq!(document["methods"][2]["x-access"], json!("credentials"));
}

#[cfg(feature = "testing")]
mod sockets {
    use std::net::SocketAddr;

    use tokio::net::TcpListener;

    use super::*;
    use crate::{
        http::{self, Guard},
        tasks::Stop,
        testing::socket::{Received, Socket},
    };

    /// `count [to]` answers at once and then counts; `stop ID` ends it.
    async fn listen(limits: Limits, http: http::Limits) -> (SocketAddr, Stop) {
        let mut methods = Methods::new();
        let to = &[ParamDoc { name: "to", help: "last number", optional: false }];
        methods.add_session(Spec::open("count", "Counts", to), |_: &Arc<()>, session, params| {
            let to: u64 = params.required(0, "to")?;
            let number = session.subscribe(|feed| async move {
                for number in 1..=to {
                    if !feed.send(&json!({ "feed": feed.number(), "number": number })) {
                        return;
                    }
                }
                std::future::pending().await
            })?;
            Ok(json!(number))
        });
        let id = &[ParamDoc { name: "id", help: "which", optional: false }];
        methods.add_session(Spec::open("stop", "Ends", id), |_, session, params| {
            Ok(json!(session.unsubscribe(params.required(0, "id")?)))
        });
        let dialect = Dialect { lagging: || Some(json!("missed")), ..Dialect::default() };
        let service = Service::new(methods, Arc::new(()), dialect, limits, &Registry::new("demo"));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Stop::never();
        let router = Server { service, guard: Guard::default(), http: http.clone() }.router_with_sockets(
            &["/"],
            &["/ws"],
            stop.clone(),
        );
        tokio_util::task::TaskTracker::new().spawn(http::serve(listener, router, http, stop.clone()));
        (address, stop)
    }

    /// Runs a blocking client.
    async fn client<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
        tokio::task::spawn_blocking(run).await.unwrap()
    }

    fn ask(socket: &mut Socket, method: &str, param: u64) -> Received {
        socket.send(&json!({ "method": method, "params": [param], "id": 1 }).to_string()).unwrap();
        socket.receive().unwrap()
    }

    fn result(value: impl Into<Value>) -> Received {
        Received::Json(json!({ "jsonrpc": "2.0", "id": 1, "result": value.into() }))
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_answer_comes_before_the_first_notification_and_numbers_are_used_again() {
        let (address, stop) = listen(Limits::default(), http::Limits::default()).await;
        client(move || {
            let mut socket = Socket::connect(address, "/ws").unwrap();
            assert_eq!(ask(&mut socket, "count", 2), result(0));
            for number in 1..=2 {
                let expected = json!({ "feed": 0, "number": number });
                assert_eq!(socket.receive().unwrap(), Received::Json(expected));
            }
            assert_eq!(ask(&mut socket, "count", 0), result(1));
            assert_eq!(ask(&mut socket, "stop", 0), result(true));
            assert_eq!(ask(&mut socket, "stop", 0), result(false));
            assert_eq!(ask(&mut socket, "count", 0), result(0));
            stop.set();
            assert_eq!(socket.receive().unwrap(), Received::Closed(1001));
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn limits_of_clients_subscriptions_and_messages_hold() {
        let limits = Limits { sockets: 1, subscriptions: 1, ..Limits::default() };
        let (address, _stop) = listen(limits, http::Limits { body_bytes: 1000, ..Default::default() }).await;
        client(move || {
            let mut socket = Socket::connect(address, "/ws").unwrap();
            assert!(Socket::connect(address, "/ws").unwrap_err().to_string().contains("503"));
            assert_eq!(ask(&mut socket, "count", 0), result(0));
            let Received::Json(refused) = ask(&mut socket, "count", 0) else { panic!("closed") };
            assert_eq!(refused["error"]["code"], json!(-32005));
            socket.send(&"x".repeat(1001)).unwrap();
            assert_eq!(socket.receive().unwrap(), Received::Closed(1009));
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_client_that_does_not_keep_up_is_told_and_closed() {
        let (address, _stop) =
            listen(Limits { unsent: 10, ..Limits::default() }, http::Limits::default()).await;
        client(move || {
            let mut socket = Socket::connect(address, "/ws").unwrap();
            assert_eq!(ask(&mut socket, "count", 10_000_000), result(0));
            let mut last = None;
            let code = loop {
                match socket.receive().unwrap() {
                    Received::Json(value) => last = Some(value),
                    Received::Closed(code) => break code,
                }
            };
            assert_eq!((last, code), (Some(json!("missed")), 1013));
        })
        .await;
    }

    #[tokio::test]
    async fn subscriptions_need_a_connection_that_stays() {
        let mut methods = Methods::new();
        methods.add_session(Spec::open("count", "Counts", &[]), |_: &Arc<()>, _, _| Ok(Value::Null));
        let dialect = Dialect::default();
        let service = Service::new(methods, Arc::new(()), dialect, Limits::default(), &Registry::new("demo"));
        let reply = super::ask(&service, r#"{"method":"count","id":1}"#).await;
        assert_eq!(reply["error"]["message"], json!("notifications not supported"));
    }
}
