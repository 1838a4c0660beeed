//! Tests of logging in, and of logging in again.

use std::sync::{Arc, Mutex};

use futures_util::future::join_all;
use vim25::props::virtual_machine::NAME;
use vim25::types::{InvalidLogin, NotAuthenticated};

use super::{connect, vm};
use crate::transport::replay::{Replay, Reply, Seen, welcome};
use crate::{Client, Credentials, Error, LoginProblem};

const NOT_AUTHENTICATED: &str = include_str!("golden/not_authenticated.xml");
const NAME_IS_A: &str = "<RetrievePropertiesExResponse xmlns=\"urn:vim25\"><returnval><objects><obj type=\"VirtualMachine\">vm-62</obj><propSet><name>name</name><val xsi:type=\"xsd:string\">a</val></propSet></objects></returnval></RetrievePropertiesExResponse>";
/// The response with which vCenter refuses to read properties without a session.
const REFUSED_WITHIN: &str = "<RetrievePropertiesExResponse xmlns=\"urn:vim25\"><returnval><objects><obj type=\"VirtualMachine\">vm-62</obj><missingSet><path>name</path><fault><fault xsi:type=\"NotAuthenticated\"><object type=\"VirtualMachine\">vm-62</object><privilegeId>System.View</privilegeId></fault><localizedMessage></localizedMessage></fault></missingSet></objects></returnval></RetrievePropertiesExResponse>";

#[tokio::test]
async fn the_session_is_opened_and_its_cookie_sent_as_it_came() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let replay = Replay::new(move |request: &Seen| {
        let entry = (
            request.method().to_owned(),
            request.action.clone(),
            request.cookie.clone(),
        );
        log.lock().unwrap().push(entry);
        welcome(request).unwrap_or(Reply::Body(NAME_IS_A))
    });
    let client = connect(&replay).await;
    assert_eq!(client.api_version(), "8.0.3.0");
    assert!(client.is_vcenter());
    assert_eq!(client.get(&vm(), NAME).await.unwrap(), "a");
    client.close().await.unwrap();
    client.close().await.unwrap();
    let action = String::from("\"urn:vim25/8.0.3.0\"");
    let cookie = Some(String::from("vmware_soap_session=\"52c1\""));
    let expected = [
        ("RetrieveServiceContent", None),
        ("Login", None),
        ("RetrievePropertiesEx", cookie.clone()),
        ("Logout", cookie),
    ];
    let expected = expected.map(|(method, cookie)| (method.to_owned(), action.clone(), cookie));
    assert_eq!(*seen.lock().unwrap(), expected);
}

/// Returns a peer that has lost the first session.
fn forgetful(refusal: &'static str) -> Arc<Replay> {
    let mut logins = 0;
    Replay::new(move |seen| {
        if let Some(reply) = welcome(seen) {
            logins += u32::from(seen.method() == "Login");
            return match (seen.method(), logins) {
                ("Login", 2) => {
                    assert_eq!(seen.cookie, None, "the lost session must not be sent");
                    Reply::Cookie(
                        include_str!("golden/login.xml"),
                        "vmware_soap_session=second",
                    )
                }
                _ => reply,
            };
        }
        match seen.cookie.as_deref() {
            Some("vmware_soap_session=second") => Reply::Body(NAME_IS_A),
            _ => Reply::Body(refusal),
        }
    })
}

#[tokio::test]
async fn many_refused_calls_lead_to_one_login() {
    for refusal in [NOT_AUTHENTICATED, REFUSED_WITHIN] {
        let replay = forgetful(refusal);
        let client = connect(&replay).await;
        let vm = vm();
        for name in join_all((0..20).map(|_| client.get(&vm, NAME))).await {
            assert_eq!(name.unwrap(), "a");
        }
        let logins = replay
            .methods()
            .iter()
            .filter(|method| *method == "Login")
            .count();
        assert_eq!(logins, 2);
    }
}

#[tokio::test]
async fn a_call_that_is_refused_right_after_a_login_is_not_permitted() {
    let replay = Replay::new(|seen| welcome(seen).unwrap_or(Reply::Body(NOT_AUTHENTICATED)));
    let client = connect(&replay).await;
    let error = client.call(vm().power_on_vm(None)).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::NotAuthenticated {
                problem: LoginProblem::NotPermitted,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.is_fault::<NotAuthenticated>());
    assert_eq!(
        replay.methods(),
        ["Login", "PowerOnVM_Task", "Login", "PowerOnVM_Task"]
    );
}

#[tokio::test]
async fn a_ticket_is_used_and_left_open_and_without_a_password_not_renewed() {
    let replay = Replay::new(|seen| {
        welcome(seen).unwrap_or_else(|| {
            assert_eq!(seen.cookie.as_deref(), Some("vmware_soap_session=abc"));
            Reply::Body(NOT_AUTHENTICATED)
        })
    });
    let client = Client::builder("https://vc.example.com")
        .transport(Arc::clone(&replay) as Arc<_>)
        .credentials(Credentials::session("abc"))
        .connect()
        .await
        .unwrap();
    let error = client.call(vm().power_on_vm(None)).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::NotAuthenticated {
                problem: LoginProblem::TicketRefused,
                ..
            }
        ),
        "{error}"
    );
    client.close().await.unwrap();
    assert_eq!(replay.methods(), ["PowerOnVM_Task"]);
}

#[tokio::test]
async fn a_wrong_password_is_named_without_being_shown() {
    let replay = Replay::new(|seen| match seen.method() {
        "Login" => Reply::Body(
            "<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>Cannot complete login due to an incorrect user name or password.</faultstring><detail><InvalidLoginFault xmlns=\"urn:vim25\" xsi:type=\"InvalidLogin\"></InvalidLoginFault></detail></soapenv:Fault>",
        ),
        _ => welcome(seen).unwrap(),
    });
    let builder = Client::builder("https://root:hunter2@vc.example.com").transport(replay);
    let error = builder.connect().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "login as \"root\" on vc.example.com:443: user name or password is wrong; check both, and whether the account is locked"
    );
    assert!(error.is_fault::<InvalidLogin>());
    assert!(!format!("{error:?}").contains("hunter2"));
}

#[tokio::test]
async fn dropping_the_last_client_logs_out() {
    let replay = Replay::new(|seen| welcome(seen).unwrap());
    let client = connect(&replay).await;
    let other = client.clone();
    drop(client);
    tokio::task::yield_now().await;
    assert_eq!(replay.methods(), ["Login"]);
    drop(other);
    while replay.methods().len() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(replay.methods(), ["Login", "Logout"]);
}

#[tokio::test]
async fn a_scope_ends_its_session_also_when_the_work_fails() {
    for works in [true, false] {
        let replay = Replay::new(|seen| welcome(seen).unwrap());
        let done: crate::Result<()> = Client::builder("https://root:hunter2@vc.example.com")
            .transport(Arc::clone(&replay) as Arc<_>)
            .scope(|client| async move {
                assert!(client.is_vcenter());
                match works {
                    true => Ok(()),
                    false => Err(Error::config("as the test wants it")),
                }
            })
            .await;
        assert_eq!(done.is_ok(), works);
        assert_eq!(replay.methods(), ["Login", "Logout"]);
    }
}

#[tokio::test]
async fn a_session_is_handed_over_to_the_next_program() {
    let replay = Replay::new(|seen| welcome(seen).unwrap_or(Reply::Body(NAME_IS_A)));
    let client = connect(&replay).await;
    let ticket = client.hand_over().unwrap();
    client.close().await.unwrap();
    assert!(client.hand_over().is_none());
    let next = Client::builder("https://vc.example.com")
        .transport(Arc::clone(&replay) as Arc<_>)
        .credentials(Credentials::session(ticket))
        .connect()
        .await
        .unwrap();
    assert_eq!(next.get(&vm(), NAME).await.unwrap(), "a");
    assert_eq!(replay.methods(), ["Login", "RetrievePropertiesEx"]);
}

#[tokio::test]
async fn the_hook_is_asked_before_a_refused_call_is_sent_again() {
    let replay = forgetful(NOT_AUTHENTICATED);
    let client = connect(&replay).await;
    client.on_login_again(|client| async move {
        let vm = vm();
        client
            .call(vm.refresh_storage_info())
            .await
            .map(drop)
            .or(Ok(()))
    });
    let vm = vm();
    for name in join_all((0..5).map(|_| client.get(&vm, NAME))).await {
        assert_eq!(name.unwrap(), "a");
    }
    let methods = replay.methods();
    let again = methods
        .iter()
        .rposition(|method| method == "Login")
        .unwrap();
    assert_eq!(methods[again + 1], "RefreshStorageInfo", "{methods:?}");
    assert_eq!(methods.len(), again + 2 + 5, "{methods:?}");
}

#[tokio::test]
async fn a_hook_that_refuses_keeps_every_call_from_being_sent() {
    let replay = forgetful(NOT_AUTHENTICATED);
    let client = connect(&replay).await;
    client.on_login_again(|_| async { Err(Error::config("another one writes now")) });
    for _ in 0..2 {
        let error = client.call(vm().power_on_vm(None)).await.unwrap_err();
        assert_eq!(error.to_string(), "another one writes now");
    }
    // No call was sent with a session that the hook had refused.
    let methods = replay.methods();
    let sent = methods.iter().filter(|method| *method == "PowerOnVM_Task");
    assert_eq!(sent.count(), 2, "{methods:?}");
}
