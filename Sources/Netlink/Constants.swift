// Numbers of the kernel's rtnetlink interface that this module speaks (linux/netlink.h, linux/rtnetlink.h,
// linux/if_link.h, linux/if_addr.h, linux/neighbour.h, linux/pkt_sched.h). They are part of the kernel's stable interface.

enum MessageType {
    static let noop: UInt16 = 1
    static let error: UInt16 = 2
    static let done: UInt16 = 3
    static let overrun: UInt16 = 4
    static let newLink: UInt16 = 16
    static let deleteLink: UInt16 = 17
    static let getLink: UInt16 = 18
    static let newAddress: UInt16 = 20
    static let deleteAddress: UInt16 = 21
    static let getAddress: UInt16 = 22
    static let newRoute: UInt16 = 24
    static let deleteRoute: UInt16 = 25
    static let getRoute: UInt16 = 26
    static let newNeighbour: UInt16 = 28
    static let deleteNeighbour: UInt16 = 29
    static let getNeighbour: UInt16 = 30
    static let newQueue: UInt16 = 36
    static let deleteQueue: UInt16 = 37
}

enum MessageFlag {
    static let request: UInt16 = 0x1
    static let acknowledge: UInt16 = 0x4
    static let dumpInterrupted: UInt16 = 0x10
    /// Get requests: every entry.
    static let dump: UInt16 = 0x300
    /// New requests.
    static let replace: UInt16 = 0x100
    static let exclusive: UInt16 = 0x200
    static let create: UInt16 = 0x400
    /// Error messages: no copy of the request inside; attributes follow.
    static let capped: UInt16 = 0x100
    static let attributes: UInt16 = 0x200
}

enum AddressFamily {
    static let unspecified: UInt8 = 0
    static let inet: UInt8 = 2
    static let bridge: UInt8 = 7
    static let inet6: UInt8 = 10
}

enum LinkAttribute {
    static let address: UInt16 = 1
    static let name: UInt16 = 3
    static let mtu: UInt16 = 4
    static let link: UInt16 = 5
    static let master: UInt16 = 10
    static let operState: UInt16 = 16
    static let linkInfo: UInt16 = 18
    static let alias: UInt16 = 20
    static let statistics64: UInt16 = 23
    static let afSpec: UInt16 = 26
    static let networkNamespaceFD: UInt16 = 28
    static let extendedMask: UInt16 = 29
    static let infoKind: UInt16 = 1
    static let infoData: UInt16 = 2
    static let infoSlaveData: UInt16 = 5
    static let vethPeer: UInt16 = 1
    static let macvlanMode: UInt16 = 1
    /// Interfaces on the same parent reach each other.
    static let macvlanBridge: UInt32 = 4
    static let bridgePortHairpin: UInt16 = 4
    static let bridgePortIsolated: UInt16 = 33
    static let inet6AddressGenerationMode: UInt16 = 8
    /// Leave statistics out of a dump.
    static let filterSkipStatistics: UInt32 = 1 << 3
}

enum LinkFlag {
    static let up: UInt32 = 0x1
    static let loopback: UInt32 = 0x8
    static let running: UInt32 = 0x40
}

enum AddressAttribute {
    static let address: UInt16 = 1
    static let local: UInt16 = 2
    static let flags: UInt16 = 8
    /// No duplicate address detection: usable at once.
    static let noDuplicateDetection: UInt32 = 0x02
}

enum RouteAttribute {
    static let destination: UInt16 = 1
    static let outputInterface: UInt16 = 4
    static let gateway: UInt16 = 5
    static let table: UInt16 = 15
    static let mainTable: UInt32 = 254
    static let protocolBoot: UInt8 = 3
    static let scopeUniverse: UInt8 = 0
    static let scopeLink: UInt8 = 253
    static let unicast: UInt8 = 1
}

/// linux/pkt_sched.h, linux/rtnetlink.h
enum QueueAttribute {
    static let kind: UInt16 = 1
    static let options: UInt16 = 2
    static let bucketParameters: UInt16 = 1
    static let bucketRate64: UInt16 = 4
    static let bucketBurst: UInt16 = 6
    static let root: UInt32 = 0xffff_ffff
    /// Frames count with their Ethernet header.
    static let ethernet: UInt8 = 1
}

enum NeighbourAttribute {
    static let destination: UInt16 = 1
    static let linkLayerAddress: UInt16 = 2
    static let stale: UInt16 = 0x04
    static let noARP: UInt16 = 0x40
    /// The entry is the bridge's, not the port's own.
    static let ofMaster: UInt8 = 0x04
    /// Look the address up now.
    static let use: UInt8 = 0x01
    /// Answer for the address.
    static let proxy: UInt8 = 0x08
}
