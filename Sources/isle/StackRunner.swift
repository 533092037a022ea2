import CLIKit
import Client
import Glibc
import StackKit
import WireTypes

/// Brings a project to what its file says, and takes it away.
struct StackRunner {
    let stack: Stack
    let global: GlobalOptions
    let client: IsleClient
    /// Seconds to wait for a service to be ready.
    var patience = 300.0

    init(stack: Stack, global: GlobalOptions) {
        self.stack = stack
        self.global = global
        client = global.client
    }

    /// An instance of the project, as its labels tell: `docker compose` writes the same.
    struct Member {
        var instance: API.Instance
        var service: String
        var number: Int
        var hash: String
    }

    private static let prefix = "user.com.docker.compose."

    func instances() throws -> [Member] {
        try client.get([API.Instance].self, Endpoint(["instances"], query: [("recursion", "1")]))
            .filter { $0.config[Self.prefix + "project"] == stack.name }
            .map { instance in
                let config = instance.config
                return Member(
                    instance: instance, service: config[Self.prefix + "service"] ?? "",
                    number: config[Self.prefix + "container-number"].flatMap { Int($0) } ?? 0,
                    hash: config[Self.prefix + "config-hash"] ?? "")
            }
            .sorted { ($0.service, $0.number, $0.instance.name) < ($1.service, $1.number, $1.instance.name) }
    }

    // MARK: up

    func up(
        _ wanted: [String], scale: [String: Int], removeOrphans: Bool = false, forced: Bool = false,
        builds: Bool = false
    )
        throws
    {
        var services = try stack.ordered(wanted)
        if let unknown = scale.keys.sorted().first(where: { name in !stack.services.contains { $0.name == name } }) {
            throw UsageError("there is no service \(Quantity.quoted(unknown))")
        }
        for index in services.indices { try makeImage(of: &services[index], anew: builds) }
        try makeNetworks(for: services)
        try makeVolumes(for: services)
        try writeFiles()
        for service in services {
            for dependency in service.dependencies { try wait(for: dependency, of: service) }
            try converge(service, count: scale[service.name] ?? service.replicas, forced: forced)
        }
        let orphans = try instances().filter { member in !stack.services.contains { $0.name == member.service } }
        guard !orphans.isEmpty else { return }
        if removeOrphans {
            for orphan in orphans { try remove(orphan) }
        } else {
            Style.error.write(
                "Note: \(orphans.map(\.instance.name).joined(separator: ", ")) belong to no service of the file "
                    + "(--remove-orphans deletes them)\n")
        }
    }

    private func converge(_ service: Stack.Service, count: Int, forced: Bool) throws {
        if service.containerName != nil, count > 1 {
            throw UsageError(
                "service \(Quantity.quoted(service.name)) has a container_name: there can be but one of it")
        }
        let existing = try instances().filter { $0.service == service.name }
        var fresh = existing.filter { !forced && $0.hash == service.hash }
        var old = existing.filter { forced || $0.hash != service.hash }
        // Too many: the newest go first.
        while fresh.count > count { try remove(fresh.removeLast()) }
        while fresh.count + old.count > count, let last = old.popLast() { try remove(last) }
        for member in fresh where member.instance.status != "Running" {
            try start(member.instance.name)
            report(member.instance.name, "started")
        }
        var used = Set((fresh + old).map(\.number))
        func freeNumber() -> Int {
            var number = 1
            while used.contains(number) { number += 1 }
            used.insert(number)
            return number
        }
        var isFirst = true
        while !old.isEmpty {
            if !isFirst, service.update.delay > 0 { usleep(useconds_t(min(service.update.delay, 3600) * 1e6)) }
            isFirst = false
            let batch = Array(old.prefix(service.update.parallelism))
            old.removeFirst(batch.count)
            if service.update.startsFirst, service.containerName == nil {
                let names = try batch.map { _ in try create(service, freeNumber()) }
                for name in names { try ready(name, service) }
                for member in batch {
                    try remove(member)
                    used.remove(member.number)
                }
            } else {
                for member in batch { try remove(member) }
                for member in batch { try ready(try create(service, member.number), service) }
            }
        }
        let missing = count - (try instances().filter { $0.service == service.name }.count)
        for _ in 0..<max(0, missing) { _ = try create(service, freeNumber()) }
    }

    /// Makes and starts an instance; gives its name.
    private func create(_ service: Stack.Service, _ number: Int) throws -> String {
        var options = service.options
        options.name = stack.instanceName(service, number)
        options.isBlockDevice = LocalFile.isBlockDevice
        options.readFile = { path, option throws(UsageError) in try LocalFile.text(path, option) }
        options.image = try ImageUpload(global: global, client: client).reference(for: options.image)
        var post = try options.request()
        post.devices.merge(service.nics) { $1 }
        post.devices.merge(service.devices) { $1 }
        var labels = service.labels
        labels["com.docker.compose.project"] = stack.name
        labels["com.docker.compose.service"] = service.name
        labels["com.docker.compose.container-number"] = String(number)
        labels["com.docker.compose.config-hash"] = service.hash
        labels["com.docker.compose.oneoff"] = "False"
        labels["com.docker.compose.project.working_dir"] = stack.directory
        labels["com.docker.compose.project.config_files"] = stack.files.joined(separator: ",")
        for (key, value) in labels { post.config["user." + key] = value }
        post.start = true
        do {
            try global.finish(try client.start("POST", Endpoint(["instances"]), post), with: client)
        } catch let error as ClientError {
            // One that was made and cannot start is no instance of the service.
            try? client.send(
                "DELETE", Endpoint(["instances", options.name ?? ""], query: [("force", "1")]), nil as API.Empty?)
            throw error
        }
        report(options.name ?? "", "started")
        return options.name ?? ""
    }

    private func start(_ name: String) throws {
        var state = API.InstanceStatePut()
        state.action = "start"
        state.idempotent = true
        try client.send("PUT", Endpoint(["instances", name, "state"]), state)
    }

    /// - Parameter volumes: also those that its image asked for and nobody named.
    func remove(_ member: Member, volumes: Bool = false) throws {
        let name = member.instance.name
        if member.instance.status == "Running" || member.instance.status == "Frozen" {
            var state = API.InstanceStatePut()
            state.action = "stop"
            state.timeout = -1
            (state.kill, state.idempotent) = (true, true)
            do { try client.send("PUT", Endpoint(["instances", name, "state"]), state) } catch let error as ClientError
                where error.isNotFound || error.kind == .refused(status: 409)
            {
                // It ended by itself.
            }
        }
        do {
            try client.send(
                "DELETE", Endpoint(["instances", name], query: [("force", "1"), ("volumes", volumes ? "1" : nil)]),
                nil as API.Empty?)
        } catch let error as ClientError where error.isNotFound {
            // It deletes itself when it ends.
        }
        report(name, "deleted")
    }

    // MARK: waiting

    private func wait(for dependency: Stack.Dependency, of service: Stack.Service) throws {
        guard stack.services.contains(where: { $0.name == dependency.service }) else { return }
        let end = Now.seconds + patience
        while true {
            let members = try instances().filter { $0.service == dependency.service }
            if try members.allSatisfy({ try isMet(dependency.condition, $0.instance, dependency, service) }) { return }
            guard Now.seconds < end else {
                throw ClientError(
                    .local,
                    "service '\(dependency.service)', which '\(service.name)' waits for, is not \(Self.word(dependency.condition)) after \(Int(patience)) s",
                    hint: "isle stack ps and isle stack logs show more")
            }
            usleep(100_000)
        }
    }

    private func isMet(
        _ condition: Stack.Condition, _ instance: API.Instance, _ dependency: Stack.Dependency, _ service: Stack.Service
    ) throws -> Bool {
        func failed(_ how: String) -> ClientError {
            ClientError(
                .local, "service '\(service.name)' cannot start: '\(dependency.service)' \(how)",
                hint: "isle logs \(instance.name)")
        }
        switch condition {
        case .started: return instance.status == "Running" || instance.exit != nil
        case .completed:
            guard instance.status == "Stopped", let exit = instance.exit else { return false }
            if exit.exitCode != 0 { throw failed("ended with \(exit.exitCode)") }
            return true
        case .healthy:
            if instance.status == "Stopped", instance.exit != nil { throw failed("has ended") }
            guard let health = instance.health else {
                if instance.status == "Running" { throw failed("has no health check") }
                return false
            }
            if health.status == "unhealthy" { throw failed("is unhealthy") }
            return health.status == "healthy"
        }
    }

    private static func word(_ condition: Stack.Condition) -> String {
        switch condition {
        case .started: "started"
        case .healthy: "healthy"
        case .completed: "completed"
        }
    }

    /// Waits until a new instance may take over: until it is healthy, or runs if nothing tests it.
    private func ready(_ name: String, _ service: Stack.Service) throws {
        let end = Now.seconds + patience
        while true {
            let instance = try client.get(API.Instance.self, Endpoint(["instances", name]))
            if instance.status == "Running", instance.health.map({ $0.status == "healthy" }) ?? true { return }
            if instance.status == "Stopped", instance.exit?.exitCode == 0 { return }
            let hasFailed = instance.status == "Stopped" || instance.health?.status == "unhealthy"
            guard !hasFailed, Now.seconds < end else {
                throw ClientError(
                    .local,
                    "the new instance \(name) of service '\(service.name)' does not become ready; those not replaced go on",
                    hint: "isle logs \(name)")
            }
            usleep(50_000)
        }
    }

    func report(_ name: String, _ what: String) {
        if !global.quiet { Style.error.write("\(PlainText.escaped(name)) \(what)\n") }
    }
}
