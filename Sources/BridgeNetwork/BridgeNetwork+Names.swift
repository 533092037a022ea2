import DriverKit
import Model

// Names across networks. An instance on two networks asks the name server of the first alone, since the C library
// takes "no such name" from one server for the answer of all. So the server of each network also knows the names on
// those networks that one of its instances is on as well.
extension BridgeNetwork {
    /// Brings the files of foreign names in every network's hosts folder up to date.
    func shareNames() throws {
        var networksOf: [InstanceID: Set<String>] = [:]
        for attachment in attachments.values {
            networksOf[attachment.checked.endpoint.instance, default: []].insert(attachment.checked.endpoint.network)
        }
        let spanning = networksOf.values.filter { $0.count > 1 }
        for (name, network) in networks {
            let neighbours = spanning.filter { $0.contains(name) }.reduce(into: Set<String>()) { $0.formUnion($1) }
                .subtracting([name])
            var wanted: [String: String] = [:]
            for neighbour in neighbours {
                guard let other = networks[neighbour] else { continue }
                let text = foreignNames(from: other, in: name)
                if !text.isEmpty { wanted[Self.foreignPrefix + other.managed.spec.bridge] = text }
            }
            try write(wanted, network)
        }
    }

    /// Names that no file of an endpoint has.
    private static let foreignPrefix = "foreign."
    static func isForeign(_ file: String) -> Bool { file.hasPrefix(foreignPrefix) }

    /// Lines for the instances on `other`, without the names that the network `name` has itself.
    private func foreignNames(from other: Network, in name: String) -> String {
        var own = Set<String>()
        for attachment in attachments.values where attachment.checked.endpoint.network == name {
            own.formUnion([attachment.checked.endpoint.hostname] + attachment.checked.endpoint.aliases)
        }
        let files = dnsmasqConfiguration(other.managed, other.folder)
        return attachments.values.filter { $0.checked.endpoint.network == other.managed.spec.name }
            .sorted { $0.checked.key.fileName < $1.checked.key.fileName }
            .map { files.hosts($0.checked, without: own) }.joined()
    }

    private func write(_ wanted: [String: String], _ network: Network) throws {
        let folder = network.folder.hosts
        for file in NetworkFolder.names(in: folder) where Self.isForeign(file) && wanted[file] == nil {
            try network.folder.removeFile(folder + "/" + file)
            foreign[network.managed.spec.name]?[file] = nil
        }
        for (file, text) in wanted where foreign[network.managed.spec.name]?[file] != text {
            try network.folder.replace(folder + "/" + file, with: Array(text.utf8))
            foreign[network.managed.spec.name, default: [:]][file] = text
        }
    }
}
