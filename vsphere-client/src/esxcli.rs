//! Runs the commands of `esxcli` on a host, through the managed method executer.

use std::collections::BTreeMap;

use vim25::internal::mo::ReflectManagedMethodExecuter;
use vim25::internal::types::{
    ReflectManagedMethodExecuterSoapArgument, ReflectManagedMethodExecuterSoapFault,
};
use vim25::types::MethodFault;
use vim25::{Fault, Limits, Node, Ref, mo, soap};

use crate::client::Client;
use crate::error::{Error, Operation, Result};

/// The version that the arguments and results of commands have.
const VERSION: &str = "urn:vim25/5.0";

/// One row of a command's result: the values of its fields, by their names. A field with
/// several values has them in order.
pub type EsxCliRow = BTreeMap<String, Vec<String>>;

impl Client {
    /// Returns access to the commands of `esxcli` on a host.
    ///
    /// Uses undocumented methods, which ESXi hosts have, also through a vCenter.
    ///
    /// ```no_run
    /// use vim25::{Ref, mo};
    ///
    /// # async fn example(client: &vsphere_client::Client, host: &Ref<mo::HostSystem>) -> vsphere_client::Result<()> {
    /// let esxcli = client.esxcli(host).await?;
    /// for machine in esxcli.run("vm process list", &[]).await? {
    ///     println!("{:?}", machine.get("DisplayName"));
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Unsupported`] when the host has no such commands; otherwise see [`Error`].
    pub async fn esxcli(&self, host: &Ref<mo::HostSystem>) -> Result<EsxCli<'_>> {
        let executer = self.call(host.retrieve_managed_method_executer()).await?;
        let executer = executer.ok_or_else(|| Error::unsupported("esxcli", self.server()))?;
        Ok(EsxCli {
            client: self,
            executer,
        })
    }
}

/// The commands of `esxcli` on a host; returned by [`Client::esxcli`].
#[derive(Clone, Debug)]
pub struct EsxCli<'c> {
    client: &'c Client,
    executer: Ref<ReflectManagedMethodExecuter>,
}

impl EsxCli<'_> {
    /// Runs a command such as `network ip connection list`. Arguments are named as the
    /// command's parameters are in the API (`type`, `vmname`), not as its options
    /// are on a shell.
    ///
    /// Returns the rows of the result. A single value is one row with the field `""`.
    ///
    /// A command may change the host, so it is never repeated when its outcome is unknown.
    ///
    /// # Errors
    /// [`Error::Config`] when the command has no namespace or the name of an argument is not
    /// one; [`Error::Fault`] with the command's message when the command fails or does not
    /// exist; otherwise see [`Error`].
    pub async fn run(&self, command: &str, arguments: &[(&str, &str)]) -> Result<Vec<EsxCliRow>> {
        let words: Vec<&str> = command.split_whitespace().collect();
        let namespace = match words.split_last() {
            Some((_, namespace)) if !namespace.is_empty() => namespace,
            _ => {
                return Err(Error::config(format!(
                    "{command:?} is not a command: expected a namespace and a name"
                )));
            }
        };
        let arguments = arguments.iter().map(|(name, value)| argument(name, value));
        let arguments = arguments.collect::<Result<Vec<_>>>()?;
        let call = self.executer.execute_soap(
            &format!("ha-cli-handler-{}", namespace.join("-")),
            VERSION,
            &format!("vim.EsxCLI.{}", words.join(".")),
            &arguments,
        );
        let result = self.client.call(call).await?.unwrap_or_default();
        match (result.fault, result.response) {
            (Some(fault), _) => Err(self.refused(command, &fault)),
            (None, Some(response)) => self.rows(command, &response),
            (None, None) => Ok(Vec::new()),
        }
    }

    fn refused(&self, command: &str, fault: &ReflectManagedMethodExecuterSoapFault) -> Error {
        let detail = fault.fault_detail.as_deref().unwrap_or_default();
        let detail: String = detail.chars().take(500).collect();
        let message = format!("{} {detail}", fault.fault_msg);
        let fault = Fault::new(message.trim_end(), MethodFault::default());
        Error::fault_of(&self.operation(command), fault)
    }

    fn operation(&self, command: &str) -> Operation {
        let name = format!("esxcli {command}");
        self.client.operation(&name, Some(&self.executer.upcast()))
    }

    fn rows(&self, command: &str, response: &str) -> Result<Vec<EsxCliRow>> {
        // The response is an element of its own, without a message around it.
        let message = format!(
            "<Envelope xmlns=\"http://schemas.xmlsoap.org/soap/envelope/\"><Body>\
             <EsxCLI xmlns=\"urn:vim25\">{response}</EsxCLI></Body></Envelope>"
        );
        let read = soap::decode_request(message.as_bytes(), &Limits::default());
        let read = read.map_err(|error| Error::undecodable(&self.operation(command), error))?;
        let value = read.arguments().node().children().next();
        Ok(value.map(rows).unwrap_or_default())
    }
}

/// Returns an argument in the form of the API: its name, and an element with its value.
fn argument(name: &str, value: &str) -> Result<ReflectManagedMethodExecuterSoapArgument> {
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !is_name {
        return Err(Error::config(format!(
            "{name:?} is not the name of an argument of esxcli"
        )));
    }
    let value = value.replace('&', "&amp;").replace('<', "&lt;");
    let value = value.replace('>', "&gt;");
    Ok(ReflectManagedMethodExecuterSoapArgument {
        name: name.to_owned(),
        val: format!("<{name}>{value}</{name}>"),
    })
}

/// Returns the rows of a result: a list of objects, one object, or a scalar.
fn rows(value: Node<'_>) -> Vec<EsxCliRow> {
    if let Some(text) = text(value) {
        return vec![EsxCliRow::from([(String::new(), vec![text])])];
    }
    if value.type_name().starts_with("ArrayOf") {
        return value.children().flat_map(rows).collect();
    }
    vec![row(value)]
}

fn row(object: Node<'_>) -> EsxCliRow {
    let mut row = EsxCliRow::new();
    for field in object.children() {
        let values = row.entry(object.name_of(field).to_owned()).or_default();
        match text(field) {
            Some(text) => values.push(text),
            None => values.extend(field.children().filter_map(text)),
        }
    }
    row
}

/// Returns a scalar as text.
fn text(value: Node<'_>) -> Option<String> {
    value
        .as_str()
        .map(str::to_owned)
        .or_else(|| value.as_bool().map(|value| value.to_string()))
        .or_else(|| value.as_i64().map(|value| value.to_string()))
        .or_else(|| value.as_f64().map(|value| value.to_string()))
}
