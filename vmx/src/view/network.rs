//! Network cards.

use std::borrow::{Borrow, BorrowMut};

use crate::document::Document;

use super::family::Family;
use super::identity::MacAddress;
use super::typed_setting::{device, settings, words};

words! {
    /// The model of a network card; without this setting the guest OS determines the
    /// model.
    pub enum CardModel {
        /// `VirtualPCNet32`.
        PcNet32 = "vlance",
        /// `VirtualVmxnet`; `VirtualVmxnet2` if `features` is 15.
        Vmxnet = "vmxnet",
        /// `VirtualVmxnet2`.
        Vmxnet2 = "vmxnet2",
        /// `VirtualVmxnet3`.
        Vmxnet3 = "vmxnet3",
        /// `VirtualE1000`.
        E1000 = "e1000",
        /// `VirtualE1000e`.
        E1000e = "e1000e",
        /// `VirtualSriovEthernetCard`.
        Sriov = "sriov",
    }
}

words! {
    /// The kind of network that a card uses in hosted products.
    pub enum ConnectionType {
        /// The card is on the network of the host.
        Bridged = "bridged",
        /// The host translates addresses (NAT).
        Nat = "nat",
        /// The network contains only the host and its machines.
        HostOnly = "hostonly",
        /// The virtual switch named by `vnet`.
        Custom = "custom",
        /// A monitor device.
        MonitorDev = "monitor_dev",
    }
}

words! {
    /// Who chose the hardware address; `VirtualEthernetCard.addressType`.
    pub enum AddressType {
        /// The host: API value `generated`, 00:0c:29.
        Generated = "generated",
        /// A person: API value `manual`, 00:50:56:00 to 3f.
        Static = "static",
        /// vCenter: API value `assigned`, 00:50:56:80 to bf.
        Vpx = "vpx",
    }
}

device! {
    /// A network card, `ethernetN`.
    ///
    /// API: a subclass of `VirtualEthernetCard`, depending on [`CardModel`].
    NetworkCard
}

settings! { NetworkCard {
    /// Whether the card exists.
    present set_present: bool = "present" or false;
    /// The model; API: the class of the device.
    model set_model: CardModel = "virtualDev";
    /// The features of a `vmxnet` card: 15 makes it a `vmxnet2`; API: the
    /// class of the device.
    features set_features: u32 = "features";
    /// The network; API: `VirtualEthernetCardNetworkBackingInfo.deviceName`.
    network_name set_network_name: String = "networkName";
    /// The kind of network in hosted products. The API does not show it.
    connection_type set_connection_type: ConnectionType = "connectionType" or "bridged";
    /// The virtual switch of hosted products. The API does not show it.
    vnet set_vnet: String = "vnet";
    /// The distributed switch; API: `port.switchUuid` of
    /// `VirtualEthernetCardDistributedVirtualPortBackingInfo`.
    switch_id set_switch_id: String = "dvs.switchId";
    /// The port of a distributed switch; API: `port.portKey`.
    port_id set_port_id: String = "dvs.portId";
    /// The port group of a distributed switch; API: `port.portgroupKey`.
    port_group_id set_port_group_id: String = "dvs.portgroupId";
    /// The connection to a distributed switch; API: `port.connectionCookie`.
    connection_id set_connection_id: i32 = "dvs.connectionId";
    /// The opaque network; API: `VirtualEthernetCardOpaqueNetworkBackingInfo.opaqueNetworkId`.
    opaque_network_id set_opaque_network_id: String = "opaqueNetwork.id";
    /// The type of the opaque network; API: `opaqueNetworkType`.
    opaque_network_type set_opaque_network_type: String = "opaqueNetwork.type";
    /// Who chose the address; API: `VirtualEthernetCard.addressType`.
    address_type set_address_type: AddressType = "addressType" or "generated";
    /// The address that the host chose; API: `VirtualEthernetCard.macAddress`.
    generated_address set_generated_address: MacAddress = "generatedAddress";
    /// The distance of the address from that of the first card, in steps of 10. The
    /// API does not show it.
    generated_address_offset set_generated_address_offset: i32 = "generatedAddressOffset";
    /// The address that a person or vCenter chose; API: `VirtualEthernetCard.macAddress`.
    static_address set_static_address: MacAddress = "address";
    /// Whether the address must be in the range of its type. The API does not show it.
    check_address set_check_address: bool = "checkMACAddress" or true;
    /// The PCI slot; API: `VirtualDevice.slotInfo.pciSlotNumber`.
    pci_slot set_pci_slot: i32 = "pciSlotNumber";
    /// Whether pass-through (UPT) is used if possible; API:
    /// `VirtualEthernetCard.uptCompatibilityEnabled`.
    upt set_upt: bool = "uptCompatibility" or false;
    /// Whether wake on LAN is enabled; API: `VirtualEthernetCard.wakeOnLanEnabled`.
    wake_on_lan set_wake_on_lan: bool = "wakeOnPcktRcv" or true;
    /// Whether the card is connected at power-on; API:
    /// `VirtualDeviceConnectInfo.startConnected`.
    start_connected set_start_connected: bool = "startConnected" or true;
    /// Whether the guest may disconnect the card; API:
    /// `VirtualDeviceConnectInfo.allowGuestControl`.
    allow_guest_control set_allow_guest_control: bool = "allowGuestConnectionControl";
    /// Whether the guest sees the link state of the host. Part of extraConfig.
    link_state_propagation set_link_state_propagation: bool = "linkStatePropagation.enable" or false;
    /// The name that an external network manager assigned; API:
    /// `VirtualEthernetCard.externalId`.
    external_id set_external_id: String = "externalId";
    /// The interface of the host to which hosted products bridge, on macOS.
    host_interface set_host_interface: String = "bsdName";
    /// The display name of that host interface, in hosted products.
    host_interface_name set_host_interface_name: String = "displayName";
} }

impl<D: Borrow<Document>> NetworkCard<D> {
    /// Returns the hardware address: the generated or the static one according to
    /// [`address_type`](Self::address_type), or the other one if that is missing.
    ///
    /// # Errors
    ///
    /// Fails if an address does not consist of six bytes.
    pub fn mac_address(&self) -> Result<Option<MacAddress>, super::SettingError> {
        let (generated, fixed) = (self.generated_address()?, self.static_address()?);
        Ok(match self.address_type()? {
            AddressType::Generated => generated.or(fixed),
            _ => fixed.or(generated),
        })
    }

    /// Returns the class of the device in the API; without a model it depends on the
    /// guest OS.
    #[must_use]
    pub fn api_type(&self) -> &'static str {
        match self.model() {
            Ok(Some(CardModel::PcNet32)) => "VirtualPCNet32",
            Ok(Some(CardModel::Vmxnet)) if self.features() == Ok(Some(15)) => "VirtualVmxnet2",
            Ok(Some(CardModel::Vmxnet)) => "VirtualVmxnet",
            Ok(Some(CardModel::Vmxnet2)) => "VirtualVmxnet2",
            Ok(Some(CardModel::Vmxnet3)) => "VirtualVmxnet3",
            Ok(Some(CardModel::E1000)) => "VirtualE1000",
            Ok(Some(CardModel::E1000e)) => "VirtualE1000e",
            Ok(Some(CardModel::Sriov)) => "VirtualSriovEthernetCard",
            _ => "VirtualEthernetCard",
        }
    }

    /// Returns the class of the backing in the API, as far as the file determines it.
    #[must_use]
    pub fn api_backing(&self) -> Option<&'static str> {
        if matches!(self.switch_id(), Ok(Some(_))) {
            Some("VirtualEthernetCardDistributedVirtualPortBackingInfo")
        } else if matches!(self.opaque_network_id(), Ok(Some(_))) {
            Some("VirtualEthernetCardOpaqueNetworkBackingInfo")
        } else if matches!(self.network_name(), Ok(Some(_))) {
            Some("VirtualEthernetCardNetworkBackingInfo")
        } else {
            None
        }
    }
}

impl<D: Borrow<Document>> NetworkCard<D> {
    /// Returns the filters for the card's traffic. The variable part is a number from 0;
    /// each value is the name of an agent on the host. Part of extraConfig.
    ///
    /// The keys are `ethernetN.filter<part>.name`.
    pub fn filters(&self) -> Family<&Document, String> {
        Family::of(
            self.document.borrow(),
            format!("{}.filter", self.device),
            ".name",
        )
    }
}

impl<D: BorrowMut<Document>> NetworkCard<D> {
    /// Like [`filters`](Self::filters), for editing.
    pub fn filters_mut(&mut self) -> Family<&mut Document, String> {
        let before = format!("{}.filter", self.device);
        Family::of(self.document.borrow_mut(), before, ".name")
    }
}
