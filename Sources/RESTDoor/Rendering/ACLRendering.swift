import DriverKit
import Model
import WireTypes

extension API.NetworkACL {
    init(_ acl: DriverKit.NetworkACL, usedBy: [String]) {
        self.init()
        name = acl.name
        description = acl.description
        config = acl.userKeys
        ingress = acl.ingress.map { API.NetworkACLRule($0) }
        egress = acl.egress.map { API.NetworkACLRule($0) }
        self.usedBy = usedBy
    }

    /// What a PUT may change, for the ETag.
    var changeable: API.NetworkACLPut {
        var put = API.NetworkACLPut()
        (put.description, put.config, put.ingress, put.egress) = (description, config, ingress, egress)
        return put
    }
}

extension API.NetworkACLRule {
    fileprivate init(_ rule: DriverKit.NetworkACL.Rule) {
        self.init()
        action = rule.action.rawValue
        state = rule.state.rawValue
        description = rule.description
        source = rule.source.joined(separator: ",")
        destination = rule.destination.joined(separator: ",")
        `protocol` = rule.transport?.rawValue ?? ""
        sourcePort = rule.sourcePorts.map(\.portText).joined(separator: ",")
        destinationPort = rule.destinationPorts.map(\.portText).joined(separator: ",")
        icmpType = rule.icmpType.map { "\($0)" } ?? ""
        icmpCode = rule.icmpCode.map { "\($0)" } ?? ""
    }
}

extension DriverKit.NetworkACL {
    /// Reads LXD's fields. Errors name the field.
    init(name: String, _ put: API.NetworkACLPut) throws {
        let config = put.config ?? [:]
        if let unknown = config.keys.sorted().first(where: { !$0.hasPrefix("user.") }) {
            throw EngineError(.invalidArgument, "unknown key \(Names.quoted(unknown)) of a network ACL", hint: "user.*")
        }
        self.init(
            name: name, description: put.description ?? "", userKeys: config.filter { !$0.value.isEmpty },
            ingress: try Self.rules(put.ingress ?? [], "ingress"), egress: try Self.rules(put.egress ?? [], "egress"))
    }

    private static func rules(_ rules: [API.NetworkACLRule], _ direction: String) throws -> [Rule] {
        try rules.enumerated().map { index, rule in
            try Rule(rule, "of \(direction) rule \(index + 1)")
        }
    }
}

extension DriverKit.NetworkACL.Rule {
    /// - Parameter place: `of ingress rule 1`, for errors.
    fileprivate init(_ rule: API.NetworkACLRule, _ place: String) throws {
        func choice<T: RawRepresentable & CaseIterable>(_ text: String, _ field: String, _ type: T.Type) throws -> T
        where T.RawValue == String {
            guard let value = T(rawValue: text) else {
                throw EngineError(
                    .invalidArgument, "\(field) \(Names.quoted(text)) \(place)",
                    hint: T.allCases.map(\.rawValue).joined(separator: ", "))
            }
            return value
        }
        func number(_ text: String, _ field: String) throws -> UInt8? {
            guard !text.isEmpty else { return nil }
            guard let value = UInt8(text) else {
                throw EngineError(.invalidArgument, "\(field) \(Names.quoted(text)) \(place) is not 0 to 255")
            }
            return value
        }
        self.init(
            action: try choice(rule.action, "action", DriverKit.NetworkACL.Action.self),
            state: try choice(rule.state.isEmpty ? "enabled" : rule.state, "state", DriverKit.NetworkACL.State.self),
            description: rule.description, source: Self.list(rule.source), destination: Self.list(rule.destination),
            transport: rule.protocol.isEmpty
                ? nil : try choice(rule.protocol, "protocol", DriverKit.NetworkACL.Transport.self),
            sourcePorts: try PortRanges.read(rule.sourcePort, "source_port \(place)"),
            destinationPorts: try PortRanges.read(rule.destinationPort, "destination_port \(place)"),
            icmpType: try number(rule.icmpType, "icmp_type"), icmpCode: try number(rule.icmpCode, "icmp_code"))
    }

    private static func list(_ text: String) -> [String] {
        text.split(separator: ",").map { $0.filter { $0 != " " } }.filter { !$0.isEmpty }
    }
}
