import Engine
import Model

/// One entry of `GET /containers/json`.
enum ContainerSummary {
    /// - Parameter sizes: bytes of the writable layer and of all; nil leaves them out.
    static func render(_ facts: ContainerFacts, layout: HostLayout, now: Double, sizes: (own: Int64, all: Int64)?)
        -> JSON
    {
        let record = facts.record
        var members: JSON = [
            "Id": .string(facts.id), "Names": [.string("/" + record.name)], "Image": .string(facts.imageName),
            "ImageID": .string(record.image ?? ""), "Command": .string(command(facts)),
            "Created": .integer(Int64(record.createdAt)), "Ports": .array(ports(facts)), "Labels": .map(facts.labels),
            "State": .string(facts.state), "Status": .string(facts.status(now: now)),
            "HostConfig": ["NetworkMode": .string(facts.networkMode)], "NetworkSettings": ["Networks": facts.networks],
            "Mounts": .array(facts.mounts(layout)),
        ]
        if let sizes {
            members = members.merging(["SizeRw": .integer(sizes.own), "SizeRootFs": .integer(sizes.all)])
        }
        return members
    }

    private static func command(_ facts: ContainerFacts) -> String {
        facts.arguments.map { word in word.contains(" ") ? "'\(word)'" : word }.joined(separator: " ")
    }

    private static func ports(_ facts: ContainerFacts) -> [JSON] {
        guard facts.view.pid != nil else { return [] }
        let published = facts.publishedPorts
        var ports = published.map { port -> JSON in
            let parts = port.guest.split(separator: "/")
            return [
                "IP": .string(port.address), "PrivatePort": .integer(Int64(parts[0]) ?? 0),
                "PublicPort": .integer(Int64(port.port) ?? 0), "Type": .string(String(parts[1])),
            ]
        }
        for exposed in facts.exposedPorts where !published.contains(where: { $0.guest == exposed }) {
            let parts = exposed.split(separator: "/")
            guard parts.count == 2, let number = Int64(parts[0]) else { continue }
            ports.append(["PrivatePort": .integer(number), "Type": .string(String(parts[1]))])
        }
        return ports
    }
}
