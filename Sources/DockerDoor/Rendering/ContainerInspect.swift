import Engine
import Model

/// `GET /containers/{id}/json`: what was asked for with what it became.
struct ContainerInspect {
    let facts: ContainerFacts
    let layout: HostLayout
    let execs: [String]
    let sizes: (own: Int64, all: Int64)?
    /// Why the last start failed.
    var failure: StartFailures.Failure?

    private var record: InstanceRecord { facts.record }
    private var keys: [String: String] { facts.view.expanded.config }

    /// The create request, for containers of this door.
    private var asked: JSON {
        guard let text = record.annotations?[Annotations.create], let json = try? JSONParser.parse(text.utf8) else {
            return .null
        }
        return json
    }

    func render() -> JSON {
        let asked = asked
        let arguments = facts.arguments
        var json: JSON = [
            "Id": .string(facts.id), "Created": .string(Timestamp.text(record.createdAt)),
            "Path": .string(arguments.first ?? ""), "Args": .strings(arguments.dropFirst()), "State": state,
            "Image": .string(record.image ?? ""), "ResolvConfPath": "", "HostnamePath": "", "HostsPath": "",
            "LogPath": .string(layout.log(of: record.id)), "Name": .string("/" + record.name),
            "RestartCount": .integer(Int64(facts.view.restarts)), "Driver": "overlay2", "Platform": "linux",
            "MountLabel": "", "ProcessLabel": "", "AppArmorProfile": "",
            "ExecIDs": execs.isEmpty ? nil : .strings(execs), "HostConfig": hostConfig(asked["HostConfig"]),
            "GraphDriver": ["Data": nil, "Name": "overlay2"], "Mounts": .array(facts.mounts(layout)),
            "Config": config(asked), "NetworkSettings": networkSettings,
        ]
        if let sizes { json = json.merging(["SizeRw": .integer(sizes.own), "SizeRootFs": .integer(sizes.all)]) }
        return json
    }

    private var state: JSON {
        let state = facts.state
        let exit = record.lastExit
        let isRunning = state == "running" || state == "paused" || state == "restarting"
        let json: JSON = [
            "Status": .string(state), "Running": .bool(isRunning), "Paused": .bool(state == "paused"),
            "Restarting": .bool(state == "restarting"), "OOMKilled": .bool(exit?.outOfMemory ?? false),
            "Dead": .bool(state == "dead"), "Pid": .integer(Int64(facts.view.pid ?? 0)),
            "ExitCode": .integer(Int64(failure?.code ?? exit?.code ?? 0)), "Error": .string(failure?.message ?? ""),
            "StartedAt": .string(record.lastUsedAt > 0 ? Timestamp.text(record.lastUsedAt) : Self.never),
            "FinishedAt": .string(exit.map { Timestamp.text($0.finishedAt) } ?? Self.never),
        ]
        guard let health = record.health else { return json }
        return json.merging([
            "Health": [
                "Status": .string(health.status.rawValue), "FailingStreak": .integer(Int64(health.failingStreak)),
                "Log": .array(
                    health.log.map { result in
                        [
                            "Start": .string(Timestamp.text(result.startedAt)),
                            "End": .string(Timestamp.text(result.endedAt)),
                            "ExitCode": .integer(Int64(result.exitCode)), "Output": .string(result.output),
                        ]
                    }),
            ]
        ])
    }

    static let never = "0001-01-01T00:00:00Z"

    private func config(_ asked: JSON) -> JSON {
        let image = facts.image?.config
        let standard: JSON = [
            "Hostname": .string(keys["hostname"] ?? record.name), "Domainname": "",
            "User": .string(keys["oci.user"] ?? image?.user ?? ""), "AttachStdin": false, "AttachStdout": true,
            "AttachStderr": true, "Tty": .bool(facts.hasTerminal), "OpenStdin": .bool(facts.opensInput),
            "StdinOnce": .bool(keys["oci.stdin_once"] == "true"), "Env": .strings(facts.environment + unset(asked)),
            "Cmd": facts.command.isEmpty ? nil : .strings(facts.command), "Image": .string(facts.imageName),
            "Volumes": image.flatMap { $0.volumes.isEmpty ? nil : Self.set($0.volumes) } ?? .null,
            "WorkingDir": .string(keys["oci.cwd"] ?? image?.workingDirectory ?? ""),
            "Entrypoint": facts.entrypoint.flatMap { $0.isEmpty ? nil : .strings($0) } ?? .null, "OnBuild": nil,
            "Labels": .map(facts.labels),
        ]
        var config = standard
        // What only the request says.
        for key in [
            "Domainname", "AttachStdin", "AttachStdout", "AttachStderr", "MacAddress", "StopSignal", "StopTimeout",
            "Shell", "NetworkDisabled",
        ] where !asked[key].isNull { config = config.merging(.object([.init(key: key, value: asked[key])])) }
        if asked["StopSignal"].isNull, let signal = keys["stop.signal"] ?? image?.stopSignal {
            config = config.merging(["StopSignal": .string(signal)])
        }
        if !asked["Healthcheck"].isNull {
            config = config.merging(["Healthcheck": asked["Healthcheck"]])
        } else if let check = image?.healthCheck {
            config = config.merging(["Healthcheck": ImageRendering.health(check)])
        }
        if !asked["Hostname"].isNull, asked["Hostname"] != "" {
            config = config.merging(["Hostname": asked["Hostname"]])
        }
        if !asked["Volumes"].members.isEmpty {
            config = config.merging(["Volumes": config["Volumes"].merging(asked["Volumes"])])
        }
        let exposed = facts.exposedPorts
        if !exposed.isEmpty { config = config.merging(["ExposedPorts": Self.set(exposed)]) }
        return config
    }

    /// Variables that the request names without a value.
    private func unset(_ asked: JSON) -> [String] {
        asked["Env"].elements.compactMap(\.string).filter { !$0.contains("=") }
    }

    static func set(_ names: [String]) -> JSON { .object(names.map { .init(key: $0, value: [:]) }) }

    private func hostConfig(_ asked: JSON) -> JSON {
        let standard: JSON = [
            "Binds": nil, "ContainerIDFile": "", "LogConfig": ["Type": "json-file", "Config": [:]],
            "NetworkMode": .string(facts.networkMode), "PortBindings": [:],
            "RestartPolicy": ["Name": "no", "MaximumRetryCount": 0], "AutoRemove": .bool(record.ephemeral),
            "VolumeDriver": "", "VolumesFrom": nil, "ConsoleSize": [0, 0], "CapAdd": nil, "CapDrop": nil,
            "CgroupnsMode": "private", "Dns": [], "DnsOptions": [], "DnsSearch": [], "ExtraHosts": nil, "GroupAdd": nil,
            "IpcMode": "private", "Cgroup": "", "Links": nil, "OomScoreAdj": 0, "PidMode": "",
            "Privileged": .bool(keys["security.privileged"] == "true"), "PublishAllPorts": false,
            "ReadonlyRootfs": .bool(keys["security.readonly"] == "true"), "SecurityOpt": nil, "UTSMode": "",
            "UsernsMode": "", "ShmSize": 67_108_864, "Runtime": .string(runtime), "Isolation": "", "CpuShares": 0,
            "Memory": .integer(keys["limits.memory"].flatMap { Int64($0) } ?? 0),
            "NanoCpus": .integer(LimitTranslation.nanoCPUs(keys["limits.cpu.allowance"]) ?? 0), "CgroupParent": "",
            "BlkioWeight": 0, "BlkioWeightDevice": [], "BlkioDeviceReadBps": [], "BlkioDeviceWriteBps": [],
            "BlkioDeviceReadIOps": [], "BlkioDeviceWriteIOps": [], "CpuPeriod": 0, "CpuQuota": 0,
            "CpuRealtimePeriod": 0, "CpuRealtimeRuntime": 0, "CpusetCpus": "", "CpusetMems": "", "Devices": [],
            "DeviceCgroupRules": nil, "DeviceRequests": nil, "MemoryReservation": 0, "MemorySwap": 0,
            "MemorySwappiness": nil, "OomKillDisable": nil,
            "PidsLimit": keys["limits.processes"].flatMap { Int64($0) }.map { .integer($0) } ?? .null, "Ulimits": [],
            "CpuCount": 0, "CpuPercent": 0, "IOMaximumIOps": 0, "IOMaximumBandwidth": 0,
            "MaskedPaths": .strings(Self.maskedPaths), "ReadonlyPaths": .strings(Self.readonlyPaths),
        ]
        var config = standard.merging(.object(asked.members.filter { !$0.value.isNull }))
        // What may have changed since: limits and the restart policy by update, in force now.
        config = config.merging(LimitTranslation.shown(keys))
        if let policy = keys["restart.policy"] {
            let parts = policy.split(separator: ":")
            config = config.merging([
                "RestartPolicy": [
                    "Name": .string(String(parts.first ?? "no")),
                    "MaximumRetryCount": .integer(parts.count > 1 ? Int64(parts[1]) ?? 0 : 0),
                ]
            ])
        }
        if config["RestartPolicy"]["Name"] == "" {
            config = config.merging(["RestartPolicy": ["Name": "no", "MaximumRetryCount": 0]])
        }
        if config["NetworkMode"] == "default" { config = config.merging(["NetworkMode": "bridge"]) }
        for (key, value) in [("IpcMode", "private"), ("CgroupnsMode", "private"), ("Runtime", runtime)]
        where config[key] == "" { config = config.merging(.object([.init(key: key, value: .string(value))])) }
        if config["LogConfig"]["Type"].string?.isEmpty != false {
            let options = config["LogConfig"]["Config"]
            config = config.merging(["LogConfig": ["Type": "json-file", "Config": options.isNull ? [:] : options]])
        }
        if config["ShmSize"] == 0 { config = config.merging(["ShmSize": 67_108_864]) }
        return config
    }

    private var runtime: String {
        switch record.kind {
        case .application: keys["oci.runtime"] ?? "crun"
        case .system: "isle-system"
        case .machine: "isle-machine"
        case .module: "io.containerd.wasmtime.v1"
        }
    }

    private static let maskedPaths = [
        "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
        "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
    ]
    private static let readonlyPaths = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]

    private var networkSettings: JSON {
        let first = facts.networks.members.first { $0.key == "bridge" }?.value ?? .null
        var ports: [JSON.Member] = []
        if facts.view.pid != nil {
            for port in facts.exposedPorts {
                let bindings = facts.publishedPorts.filter { $0.guest == port }
                    .map { ["HostIp": .string($0.address), "HostPort": .string($0.port)] as JSON }
                ports.append(.init(key: port, value: bindings.isEmpty ? .null : .array(bindings)))
            }
        }
        func text(_ key: String) -> JSON { first[key].isNull ? "" : first[key] }
        func number(_ key: String) -> JSON { first[key].isNull ? 0 : first[key] }
        return [
            "Bridge": "", "SandboxID": .string(facts.view.pid == nil ? "" : ContainerID.of(name: facts.id)),
            "SandboxKey": "", "Ports": .object(ports), "HairpinMode": false, "LinkLocalIPv6Address": "",
            "LinkLocalIPv6PrefixLen": 0, "SecondaryIPAddresses": nil, "SecondaryIPv6Addresses": nil,
            "EndpointID": text("EndpointID"), "Gateway": text("Gateway"), "IPAddress": text("IPAddress"),
            "IPPrefixLen": number("IPPrefixLen"), "MacAddress": text("MacAddress"),
            "GlobalIPv6Address": text("GlobalIPv6Address"), "GlobalIPv6PrefixLen": number("GlobalIPv6PrefixLen"),
            "IPv6Gateway": text("IPv6Gateway"), "Networks": facts.networks,
        ]
    }
}
