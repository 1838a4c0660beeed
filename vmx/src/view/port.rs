//! Serial and parallel ports, floppy drives.

use std::borrow::Borrow;

use crate::document::Document;

use super::typed_setting::{device, settings, words};

words! {
    /// The backing of a port.
    pub enum PortType {
        /// A port of the host; `VirtualSerialPortDeviceBackingInfo`.
        Device = "device",
        /// A file; `VirtualSerialPortFileBackingInfo`.
        File = "file",
        /// A pipe of the host; `VirtualSerialPortPipeBackingInfo`.
        Pipe = "pipe",
        /// A connection over the network; `VirtualSerialPortURIBackingInfo`.
        Network = "network",
        /// Printers of the host; `VirtualSerialPortThinPrintBackingInfo`.
        ThinPrint = "thinprint",
    }
}

words! {
    /// The role of the port in a connection; `direction` and `endpoint` of backings.
    pub enum EndPoint {
        /// The port waits for a connection.
        Server = "server",
        /// The port opens the connection.
        Client = "client",
    }
}

device! {
    /// A serial port, `serialN`; API: `VirtualSerialPort`.
    SerialPort
}

settings! { SerialPort {
    /// Whether the port exists.
    present set_present: bool = "present" or false;
    /// The type of the backing; API: the class of the backing.
    port_type set_port_type: PortType = "fileType";
    /// A path, or for [`PortType::Network`] a URI such as `tcp://host:port` or
    /// `telnets://..`; API: `fileName`, `pipeName` or `serviceURI` of the backing.
    file_name set_file_name: String = "fileName";
    /// The role of the port in a network connection; API: `direction` of the backing.
    network_end_point set_network_end_point: EndPoint = "network.endPoint" or "server";
    /// The URI of a serial port concentrator; API: `proxyURI` of the backing.
    concentrator set_concentrator: String = "vspc";
    /// The role of the port in a pipe; API: `endpoint` of the backing.
    pipe_end_point set_pipe_end_point: EndPoint = "pipe.endPoint";
    /// Whether the product tries to lose no received data; API: `noRxLoss` of the
    /// backing.
    try_no_rx_loss set_try_no_rx_loss: bool = "tryNoRxLoss" or false;
    /// Whether the guest gives up its processor when it polls the port; API:
    /// `VirtualSerialPort.yieldOnPoll`.
    yield_on_poll set_yield_on_poll: bool = "yieldOnMsrRead" or false;
    /// Whether the CTS and RTS lines control the flow of data. Part of extraConfig.
    hardware_flow_control set_hardware_flow_control: bool = "hardwareFlowControl" or false;
    /// Whether the port is connected at power-on; API:
    /// `VirtualDeviceConnectInfo.startConnected`.
    start_connected set_start_connected: bool = "startConnected" or true;
    /// Whether the guest may disconnect the port; API:
    /// `VirtualDeviceConnectInfo.allowGuestControl`.
    allow_guest_control set_allow_guest_control: bool = "allowGuestConnectionControl";
    /// Whether the product searches for the host's port; API: `useAutoDetect` of the
    /// backing.
    auto_detect set_auto_detect: bool = "autodetect" or false;
} }

impl<D: Borrow<Document>> SerialPort<D> {
    /// Returns the class of the backing in the API.
    #[must_use]
    pub fn api_backing(&self) -> Option<&'static str> {
        Some(match self.port_type().ok()?? {
            PortType::Device => "VirtualSerialPortDeviceBackingInfo",
            PortType::File => "VirtualSerialPortFileBackingInfo",
            PortType::Pipe => "VirtualSerialPortPipeBackingInfo",
            PortType::Network => "VirtualSerialPortURIBackingInfo",
            PortType::ThinPrint => "VirtualSerialPortThinPrintBackingInfo",
            PortType::Other(_) => return None,
        })
    }
}

device! {
    /// A parallel port, `parallelN`; API: `VirtualParallelPort`.
    ParallelPort
}

settings! { ParallelPort {
    /// Whether the port exists.
    present set_present: bool = "present" or false;
    /// The type of the backing, a device or a file; API: the class of the backing.
    port_type set_port_type: PortType = "fileType";
    /// The path; API: `fileName` or `deviceName` of the backing.
    file_name set_file_name: String = "fileName";
    /// Whether the guest can also read from the port; not in the API.
    bidirectional set_bidirectional: bool = "bidirectional" or false;
    /// Whether the port is connected at power-on; API:
    /// `VirtualDeviceConnectInfo.startConnected`.
    start_connected set_start_connected: bool = "startConnected" or true;
    /// Whether the guest may disconnect the port; API:
    /// `VirtualDeviceConnectInfo.allowGuestControl`.
    allow_guest_control set_allow_guest_control: bool = "allowGuestConnectionControl";
    /// Whether the product searches for the host's port; API: `useAutoDetect` of the
    /// backing.
    auto_detect set_auto_detect: bool = "autodetect" or false;
} }

impl<D: Borrow<Document>> ParallelPort<D> {
    /// Returns the class of the backing in the API.
    #[must_use]
    pub fn api_backing(&self) -> Option<&'static str> {
        match self.port_type().ok()?? {
            PortType::Device => Some("VirtualParallelPortDeviceBackingInfo"),
            PortType::File => Some("VirtualParallelPortFileBackingInfo"),
            _ => None,
        }
    }
}

device! {
    /// A floppy drive, `floppyN`; API: `VirtualFloppy`.
    Floppy
}

settings! { Floppy {
    /// Whether the drive exists. Unlike other devices, it exists unless the file says
    /// otherwise.
    present set_present: bool = "present" or true;
    /// The type of the backing, a file or a device; API: the class of the backing.
    port_type set_port_type: PortType = "fileType";
    /// The image or device; API: `fileName` or `deviceName` of the backing.
    file_name set_file_name: String = "fileName";
    /// Whether the drive is on the computer of the console's user; API: a remote backing.
    client_device set_client_device: bool = "clientDevice" or false;
    /// Whether the product searches for the host's drive; API: `useAutoDetect` of the
    /// backing.
    auto_detect set_auto_detect: bool = "autodetect" or false;
    /// Whether the drive is connected at power-on; API:
    /// `VirtualDeviceConnectInfo.startConnected`.
    start_connected set_start_connected: bool = "startConnected" or true;
    /// Whether the guest may disconnect the drive; API:
    /// `VirtualDeviceConnectInfo.allowGuestControl`.
    allow_guest_control set_allow_guest_control: bool = "allowGuestConnectionControl";
} }

impl<D: Borrow<Document>> Floppy<D> {
    /// Returns the class of the backing in the API.
    #[must_use]
    pub fn api_backing(&self) -> Option<&'static str> {
        if self.client_device() == Ok(true) {
            return Some("VirtualFloppyRemoteDeviceBackingInfo");
        }
        match self.port_type().ok()?? {
            PortType::Device => Some("VirtualFloppyDeviceBackingInfo"),
            PortType::File => Some("VirtualFloppyImageBackingInfo"),
            _ => None,
        }
    }
}
