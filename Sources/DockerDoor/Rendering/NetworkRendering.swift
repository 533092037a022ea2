import DriverKit
import Engine
import Model

/// Networks in Docker's shape.
enum NetworkRendering {
    /// - Parameter containers: those that are connected now; nil for lists, which do not show them.
    static func render(_ spec: NetworkSpec, name: String, containers: [InstanceView]?) -> JSON {
        let subnets = [spec.ipv4, spec.ipv6].compactMap { $0.flatMap { IPPrefix($0) } }
        let pools = subnets.map { prefix in
            let pool: JSON = [
                "Subnet": .string("\(prefix.network)/\(prefix.length)"), "Gateway": .string("\(prefix.address)"),
            ]
            guard prefix.address.family == .v4, let text = spec.userKeys?[AddressPool.key],
                let asked = try? JSONParser.parse(text.utf8)
            else { return pool }
            return pool.merging(asked)
        }
        var members: [JSON.Member] = []
        for view in containers ?? [] {
            guard let endpoint = view.endpoints.first(where: { $0.network == spec.name }) else { continue }
            let id = ContainerID.full(view.record.id)
            members.append(
                .init(
                    key: id,
                    value: [
                        "Name": .string(view.record.name),
                        "EndpointID": .string(ContainerID.of(name: spec.name + "/" + id)),
                        "MacAddress": .string(endpoint.mac),
                        "IPv4Address": .string(endpoint.ipv4.map { "\($0)/\(endpoint.prefixLength4)" } ?? ""),
                        "IPv6Address": .string(endpoint.ipv6.map { "\($0)/\(endpoint.prefixLength6)" } ?? ""),
                    ]))
        }
        return base(name, id: ContainerID.of(name: spec.name), driver: "bridge").merging([
            "Internal": .bool(spec.isInternal ?? false), "EnableIPv4": .bool(spec.ipv4 != nil),
            "EnableIPv6": .bool(spec.ipv6 != nil),
            "IPAM": ["Driver": "default", "Options": nil, "Config": .array(pools)], "Containers": .object(members),
            "Options": .map(options(spec)), "Labels": .map(labels(spec)),
        ])
    }

    /// What was asked for and no more: Compose makes a network anew that shows options which its file does not have.
    private static func options(_ spec: NetworkSpec) -> [String: String] {
        var options: [String: String] = [:]
        if let mtu = spec.mtu { options["com.docker.network.driver.mtu"] = "\(mtu)" }
        return options
    }

    static func labels(_ spec: NetworkSpec) -> [String: String] {
        var labels: [String: String] = [:]
        for (key, value) in spec.userKeys ?? [:] where key.hasPrefix("user.") && key != AddressPool.key {
            labels[String(key.dropFirst(5))] = value
        }
        return labels
    }

    static func predefined(_ name: String, driver: String) -> JSON {
        base(name, id: ContainerID.of(name: name), driver: driver)
    }

    private static func base(_ name: String, id: String, driver: String) -> JSON {
        [
            "Name": .string(name), "Id": .string(id), "Created": .string(ContainerInspect.never), "Scope": "local",
            "Driver": .string(driver), "EnableIPv4": true, "EnableIPv6": false,
            "IPAM": ["Driver": "default", "Options": nil, "Config": []], "Internal": false, "Attachable": false,
            "Ingress": false, "ConfigFrom": ["Network": ""], "ConfigOnly": false, "Containers": [:], "Options": [:],
            "Labels": [:],
        ]
    }
}
