//! A minimal client, with only the functions that the tests need.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "test support; each test uses a part of it"
)]

pub(crate) mod container;

use reqwest::header::{CONTENT_TYPE, COOKIE, SET_COOKIE};
use simulator::Simulator;
use vim25::soap::{Header, Response, decode_response, encode_request};
use vim25::types::{ServiceContent, TaskInfo, TaskInfoState, UserSession};
use vim25::{Any, AnyRef, Call, Fault, Limits, Outcome, Ref, Slot, TaskOf, mo};

pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    pub(crate) cookie: Option<String>,
    pub(crate) content: ServiceContent,
}

/// The reason why a call returned no result.
#[derive(Debug)]
pub(crate) enum Failure {
    Fault(Box<Fault>),
    Transport(reqwest::Error),
    Status(u16),
}

impl Failure {
    pub(crate) fn fault(self) -> Fault {
        match self {
            Self::Fault(fault) => *fault,
            other => panic!("not a fault: {other:?}"),
        }
    }
}

impl Client {
    /// Creates a client without a session.
    pub(crate) async fn stranger(simulator: &Simulator) -> Self {
        // Install a default provider. An error means that the process already has one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let certificate =
            reqwest::Certificate::from_pem(simulator.certificate_pem().as_bytes()).unwrap();
        let http = reqwest::Client::builder()
            .tls_certs_only([certificate])
            .build()
            .unwrap();
        let mut client = Self {
            http,
            url: simulator.url().to_owned(),
            cookie: None,
            content: ServiceContent::default(),
        };
        let instance: Ref<mo::ServiceInstance> = Ref::new("ServiceInstance");
        client.content = client
            .call(instance.retrieve_service_content())
            .await
            .unwrap();
        client
    }

    /// Creates a client that is logged in.
    pub(crate) async fn login(simulator: &Simulator) -> Self {
        let mut client = Self::stranger(simulator).await;
        client
            .try_login(simulator.user(), simulator.password())
            .await
            .unwrap();
        client
    }

    pub(crate) async fn try_login(&mut self, user: &str, password: &str) -> Result<(), Failure> {
        let manager = self.content.session_manager.clone().unwrap();
        self.open(manager.login(user, password, None)).await
    }

    /// Opens a session with a call whose response has its cookie.
    pub(crate) async fn open(&mut self, call: Call<UserSession>) -> Result<(), Failure> {
        let response = self.post(&call).await?;
        let cookie = response.headers().get(SET_COOKIE).cloned();
        self.read(&call, response).await?;
        self.cookie = cookie.map(|cookie| {
            let text = cookie.to_str().unwrap();
            text.split(';').next().unwrap().to_owned()
        });
        Ok(())
    }

    pub(crate) fn http(&self) -> &reqwest::Client {
        &self.http
    }

    pub(crate) fn file_url(&self, path: &str) -> String {
        let base = self.url.strip_suffix("/sdk").unwrap();
        format!("{base}/folder/{path}?dcPath=ha-datacenter&dsName=datastore1")
    }

    /// Sends an unmodified body in a SOAP envelope; returns the status and the response.
    pub(crate) async fn raw(&self, content_type: &str, body: &str) -> (u16, String) {
        let message = format!(
            "<Envelope xmlns=\"http://schemas.xmlsoap.org/soap/envelope/\" \
             xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"><Body>{body}</Body></Envelope>"
        );
        let request = self.http.post(&self.url).header(CONTENT_TYPE, content_type);
        let cookie = self.cookie.clone().unwrap_or_default();
        let request = request.header(COOKIE, cookie).body(message);
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        (status, response.text().await.unwrap())
    }

    async fn post<R>(&self, call: &Call<R>) -> Result<reqwest::Response, Failure> {
        let body = encode_request(call, &Header::default()).unwrap();
        let mut request = self
            .http
            .post(&self.url)
            .header(CONTENT_TYPE, "text/xml; charset=utf-8")
            .header("SOAPAction", "urn:vim25/8.0.3.0")
            .body(body);
        if let Some(cookie) = &self.cookie {
            request = request.header(COOKIE, cookie);
        }
        request.send().await.map_err(Failure::Transport)
    }

    async fn read<R>(&self, call: &Call<R>, response: reqwest::Response) -> Result<Any, Failure> {
        let status = response.status().as_u16();
        let bytes = response.bytes().await.map_err(Failure::Transport)?;
        if bytes.is_empty() {
            return Err(Failure::Status(status));
        }
        match decode_response(call, &bytes, &Limits::default()).unwrap() {
            Response::Value(value) => {
                assert_eq!(status, 200);
                Ok(value)
            }
            Response::Fault(fault) => {
                assert_eq!(status, 500);
                Err(Failure::Fault(Box::new(fault)))
            }
        }
    }

    pub(crate) async fn call<R: Outcome>(&self, call: Call<R>) -> Result<R, Failure> {
        let response = self.post(&call).await?;
        let value = self.read(&call, response).await?;
        Ok(R::from_value(&value).unwrap())
    }

    /// Returns one property of one object.
    pub(crate) async fn get<T: Slot>(
        &self,
        object: &Ref<impl vim25::ManagedObject>,
        path: &str,
    ) -> T {
        self.try_get(object, path)
            .await
            .unwrap_or_else(|| panic!("{object} has no {path}"))
    }

    pub(crate) async fn try_get<T: Slot>(
        &self,
        object: &Ref<impl vim25::ManagedObject>,
        path: &str,
    ) -> Option<T> {
        use vim25::types::{ObjectSpec, PropertyFilterSpec, PropertySpec};
        let spec = PropertyFilterSpec {
            prop_set: vec![PropertySpec {
                type_: object.type_name().to_owned(),
                path_set: vec![path.to_owned()],
                ..Default::default()
            }],
            object_set: vec![ObjectSpec {
                obj: AnyRef::from_wire(object.type_name(), object.value()),
                ..Default::default()
            }],
            ..Default::default()
        };
        let collector = &self.content.property_collector;
        let found = self
            .call(collector.retrieve_properties(&[spec]))
            .await
            .unwrap();
        let value = found.first()?.prop_set.first()?.val.clone();
        Some(value.get().unwrap())
    }

    /// Starts a task, and waits for its end with property updates.
    pub(crate) async fn run<R: Outcome>(&self, call: Call<TaskOf<R>>) -> Result<R, Fault> {
        let task = self.call(call).await.map_err(Failure::fault)?;
        let info = self.finish(&task).await;
        match info.state {
            TaskInfoState::Success => Ok(R::from_value(&info.result.unwrap_or_default()).unwrap()),
            _ => Err(Fault::from(*info.error.unwrap())),
        }
    }

    pub(crate) async fn finish(&self, task: &Ref<mo::Task>) -> TaskInfo {
        use vim25::types::{ObjectSpec, PropertyFilterSpec, PropertySpec};
        let collector = self
            .call(self.content.property_collector.create_property_collector())
            .await
            .unwrap();
        let spec = PropertyFilterSpec {
            prop_set: vec![PropertySpec {
                type_: "Task".into(),
                path_set: vec!["info".into()],
                ..Default::default()
            }],
            object_set: vec![ObjectSpec {
                obj: task.upcast(),
                ..Default::default()
            }],
            ..Default::default()
        };
        self.call(collector.create_filter(&spec, false))
            .await
            .unwrap();
        let mut version = String::new();
        loop {
            let set = self
                .call(collector.wait_for_updates_ex(Some(&version), None))
                .await
                .unwrap()
                .unwrap();
            version = set.version;
            for update in set.filter_set.iter().flat_map(|filter| &filter.object_set) {
                for change in &update.change_set {
                    let info: TaskInfo = change.val.as_ref().unwrap().get().unwrap();
                    if matches!(info.state, TaskInfoState::Success | TaskInfoState::Error) {
                        self.call(collector.destroy_property_collector())
                            .await
                            .unwrap();
                        return info;
                    }
                }
            }
        }
    }
}
