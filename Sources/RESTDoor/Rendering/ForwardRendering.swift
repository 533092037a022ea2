import DriverKit
import Model
import WireTypes

extension API.NetworkForward {
    init(_ forward: DriverKit.NetworkForward) {
        self.init()
        listenAddress = forward.listenAddress
        description = forward.description
        config = forward.userKeys
        if let target = forward.targetAddress { config["target_address"] = target }
        ports = forward.ports.map { port in
            var rendered = API.NetworkForwardPort()
            rendered.description = port.description
            rendered.protocol = port.transport.rawValue
            rendered.listenPort = port.listen.portText
            // The engine has checked that the last one is a port too.
            rendered.targetPort = port.target.map { ($0...$0 + UInt16(port.listen.count - 1)).portText } ?? ""
            rendered.targetAddress = port.targetAddress
            return rendered
        }
        location = "none"
    }

    /// What a PUT may change, for the ETag.
    var changeable: API.NetworkForwardPut {
        var put = API.NetworkForwardPut()
        (put.description, put.config, put.ports) = (description, config, ports)
        return put
    }
}

extension DriverKit.NetworkForward {
    /// Reads LXD's fields. Errors name the field.
    init(listenAddress: String, description: String, config: [String: String], ports: [API.NetworkForwardPort]) throws {
        if let unknown = config.keys.sorted().first(where: { $0 != "target_address" && !$0.hasPrefix("user.") }) {
            throw EngineError(
                .invalidArgument, "unknown key \(Names.quoted(unknown)) of a forward", hint: "target_address, user.*")
        }
        // One spelling for each address.
        guard let address = IPAddress(listenAddress) else {
            throw EngineError(.invalidArgument, "listen_address \(Names.quoted(listenAddress)) is not an address")
        }
        let target = config["target_address"].flatMap { $0.isEmpty ? nil : $0 }
        self.init(
            listenAddress: "\(address)", targetAddress: target, description: description,
            userKeys: config.filter { $0.key != "target_address" && !$0.value.isEmpty },
            ports: try ports.flatMap { try Self.ports($0) })
    }

    /// A list of ports as one entry for each range that leads to consecutive ports.
    private static func ports(_ port: API.NetworkForwardPort) throws -> [Port] {
        guard let transport = PortMapping.Transport(rawValue: port.protocol) else {
            throw EngineError(
                .invalidArgument, "protocol \(Names.quoted(port.protocol)) of a forwarded port", hint: "tcp or udp")
        }
        guard !port.listenPort.isEmpty else {
            throw EngineError(.invalidArgument, "listen_port of a forward is missing")
        }
        let listen = try PortRanges.read(port.listenPort, "listen_port")
        let targets = try PortRanges.read(port.targetPort, "target_port")
        let isSingle = targets.count == 1 && targets[0].count == 1
        guard targets.isEmpty || isSingle || targets.map(\.count) == listen.map(\.count) else {
            throw EngineError(
                .invalidArgument,
                "target_port \(Names.quoted(port.targetPort)) does not go with \(Names.quoted(port.listenPort))",
                hint: "give none, or as many ports in the same ranges")
        }
        guard !isSingle || listen.allSatisfy({ $0.count == 1 }) else {
            throw EngineError(
                .invalidArgument, "a range of ports cannot lead to the one target_port \(port.targetPort)",
                hint: "give a range of the same size")
        }
        return listen.enumerated().map { index, range in
            Port(
                transport: transport, listen: range,
                target: targets.isEmpty ? nil : targets[isSingle ? 0 : index].lowerBound,
                targetAddress: port.targetAddress, description: port.description)
        }
    }
}
