import CLIKit
import Client
import Glibc
import StackKit
import WireTypes

// Networks, volumes and files of a project.
extension StackRunner {
    private static let project = "user.com.docker.compose.project"

    func makeNetworks(for services: [Stack.Service]) throws {
        let used = Set(services.flatMap { $0.nics.values.compactMap { $0["network"] } })
        let there = Set(
            try client.get([API.Network].self, Endpoint(["networks"], query: [("recursion", "1")])).filter(\.managed)
                .map(\.name))
        for (key, network) in stack.networks.sorted(by: { $0.key < $1.key }) where used.contains(network.name) {
            if there.contains(network.name) { continue }
            guard !network.isExternal else {
                throw ClientError(
                    .local, "the external network '\(network.name)' does not exist",
                    hint: "isle network create \(network.name)")
            }
            var post = API.NetworksPost()
            post.name = network.name
            post.config = network.config
            post.config[Self.project] = stack.name
            post.config["user.com.docker.compose.network"] = key
            try client.send("POST", Endpoint(["networks"]), post)
            report(network.name, "made")
        }
    }

    func makeVolumes(for services: [Stack.Service]) throws {
        let used = Set(services.flatMap { $0.devices.values.compactMap { $0["pool"] == nil ? nil : $0["source"] } })
        let there = Set(try volumes().map(\.name))
        for (key, volume) in stack.volumes.sorted(by: { $0.key < $1.key }) where used.contains(volume.name) {
            if there.contains(volume.name) { continue }
            guard !volume.isExternal else {
                throw ClientError(
                    .local, "the external volume '\(volume.name)' does not exist",
                    hint: "isle volume create \(volume.name)")
            }
            var post = API.StorageVolumesPost()
            post.name = volume.name
            for (name, value) in volume.labels { post.config["user." + name] = value }
            post.config[Self.project] = stack.name
            post.config["user.com.docker.compose.volume"] = key
            try client.send("POST", Endpoint(["storage-pools", "default", "volumes", "custom"]), post)
            report(volume.name, "made")
        }
    }

    private func volumes() throws -> [API.StorageVolume] {
        try client.get(
            [API.StorageVolume].self,
            Endpoint(["storage-pools", "default", "volumes", "custom"], query: [("recursion", "1")]))
    }

    /// Writes what configs and secrets hold that have no file of their own; only their owner can read the folder.
    func writeFiles() throws {
        guard !stack.written.isEmpty else { return }
        var path = ""
        for part in folder.split(separator: "/") {
            path += "/" + part
            guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw failure("make the folder \(path)") }
        }
        for (name, content) in stack.written {
            let file = "\(folder)/\(name)"
            let new = file + ".new"
            unlink(new)
            let descriptor = open(new, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o444)
            guard descriptor >= 0 else { throw failure("write \(file)") }
            let bytes = Array(content.utf8)
            let count = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
            close(descriptor)
            guard count == bytes.count, rename(new, file) == 0 else { throw failure("write \(file)") }
        }
    }

    private var folder: String { "\(StackOptions.storage)/\(stack.name)" }

    private func failure(_ what: String) -> ClientError {
        ClientError(.local, "cannot \(what): \(String(cString: strerror(errno)))")
    }

    /// Deletes everything of the project, the instances first; volumes only if asked to.
    func down(volumes: Bool) throws {
        let order = try stack.ordered().map(\.name)
        let members = try instances().sorted {
            // Those that depend on others go before them; what the file no longer has goes first.
            (order.firstIndex(of: $0.service) ?? order.count, $0.number)
                > (order.firstIndex(of: $1.service) ?? order.count, $1.number)
        }
        try Failure.forEach(members.map(\.instance.name)) { name in
            guard let member = members.first(where: { $0.instance.name == name }) else { return }
            try remove(member, volumes: volumes)
        }
        let networks = try client.get([API.Network].self, Endpoint(["networks"], query: [("recursion", "1")]))
            .filter { $0.config[Self.project] == stack.name }
        for network in networks {
            try client.send("DELETE", Endpoint(["networks", network.name]), nil as API.Empty?)
            report(network.name, "deleted")
        }
        for name in stack.written.keys { unlink("\(folder)/\(name)") }
        rmdir(folder)
        guard volumes else { return }
        for volume in try self.volumes() where volume.config[Self.project] == stack.name {
            try client.send(
                "DELETE", Endpoint(["storage-pools", "default", "volumes", "custom", volume.name]), nil as API.Empty?)
            report(volume.name, "deleted")
        }
    }
}
