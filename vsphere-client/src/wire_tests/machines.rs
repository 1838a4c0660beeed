//! Tests of machine operations that our simulator does not support.

use secrecy::ExposeSecret as _;

use super::{connect, vm};
use crate::ConsoleKind;
use crate::transport::replay::{Replay, Reply, Seen, welcome};

const TICKET: &str = "<AcquireTicketResponse xmlns=\"urn:vim25\"><returnval><ticket>8d4a2f</ticket><cfgFile>/vmfs/volumes/52/web/web.vmx</cfgFile><host>esx.example.com</host><port>443</port><sslThumbprint>AB:CD</sslThumbprint></returnval></AcquireTicketResponse>";

#[tokio::test]
async fn a_console_ticket_is_a_secret_with_a_url() {
    let replay = Replay::new(|request: &Seen| {
        welcome(request).unwrap_or_else(|| {
            let kind: String = request.soap.argument("ticketType").unwrap();
            assert_eq!(kind, "webmks");
            Reply::Body(TICKET)
        })
    });
    let client = connect(&replay).await;
    let vm = vm();
    let machine = client.machine(&vm);
    let ticket = machine.console_ticket(ConsoleKind::WebMks).await.unwrap();
    assert_eq!(
        ticket.url.as_ref().unwrap().expose_secret(),
        "wss://esx.example.com:443/ticket/8d4a2f"
    );
    let printed = format!("{ticket:?}");
    assert!(printed.contains("esx.example.com"), "{printed}");
    assert!(!printed.contains("8d4a2f"), "{printed}");
}
