import DriverKit
import Engine
import Model
import Testing

@testable import DockerDoor

@Suite struct TranslationTests {
    private let image = ImageRecord(
        digest: "sha256:" + String(repeating: "a", count: 64), content: .rootFilesystem, architecture: "x86_64",
        config: ImageConfig(exposedPorts: ["81/tcp"]), configDigest: "", manifestMediaType: "", layers: [],
        hasInit: false, size: 0, createdAt: nil, addedAt: 0, lastUsedAt: 0)

    private func translate(_ body: JSON, _ volumes: [String: VolumeDriverOptions] = [:]) throws -> CreateTranslation {
        try CreateTranslation(
            body: ContainerBody(Fields(body)), id: #require(InstanceID("0123456789abcdef")), image: image,
            imageReference: "docker.io/library/busybox:latest",
            names: NetworkNames(standard: "isle0", existing: ["isle0", "back"]),
            peers: [:], links: LinkTranslation(), volumeOptions: volumes,
            profileDevices: ["net": ["type": "nic", "network": "isle0"]])
    }

    @Test func theProcessIsTranslated() throws {
        let config = try translate([
            "Image": "busybox", "Cmd": ["sh", "-c", "a b"], "Entrypoint": [""], "Env": ["A=b=c", "B="], "Tty": true,
            "User": "1:2", "WorkingDir": "/w", "Labels": ["x.y": "z"], "StopSignal": "SIGINT", "StopTimeout": 3,
        ]).config
        #expect(config["oci.cmd"] == #"["sh","-c","a b"]"# && config["oci.entrypoint"] == "[]")
        #expect(config["environment.A"] == "b=c" && config["environment.B"] == "")
        #expect(config["user.x.y"] == "z" && config["stop.timeout"] == "3" && config["hostname"] == "0123456789ab")
        #expect(config["security.no_new_privileges"] == "false")
    }

    @Test func limitsAreTranslated() throws {
        let config = try translate([
            "HostConfig": [
                "Memory": 67_108_864, "MemorySwap": 134_217_728, "NanoCpus": 1_500_000_000, "CpusetCpus": "0",
                "PidsLimit": 10, "Ulimits": [["Name": "nofile", "Soft": 5, "Hard": -1]],
                "RestartPolicy": ["Name": "on-failure", "MaximumRetryCount": 2],
            ]
        ]).config
        #expect(config["limits.memory"] == "67108864" && config["limits.memory.swap"] == "67108864")
        #expect(config["limits.cpu.allowance"] == "150ms/100ms" && config["limits.cpu"] == "0-0")
        #expect(config["limits.kernel.nofile"] == "5:unlimited" && config["restart.policy"] == "on-failure:2")
        #expect(LimitTranslation.nanoCPUs("150ms/100ms") == 1_500_000_000)
    }

    @Test func pathsWithoutASourceGetVolumesOfTheirOwn() throws {
        let made = try translate([
            "Volumes": ["/a": [:]],
            "HostConfig": ["Binds": ["/b"], "Mounts": [["Type": "volume", "Target": "/c"]]],
        ])
        #expect(try made.request(name: nil).volumes.sorted() == ["/a", "/b", "/c"])
        for wrong in ["relative", "/", "/a/../b"] {
            #expect(throws: EngineError.self) { try translate(["Volumes": .object([.init(key: wrong, value: [:])])]) }
        }
    }

    @Test func portsAndNetworksAreTranslated() throws {
        let devices = try translate([
            "HostConfig": [
                "NetworkMode": "back", "PublishAllPorts": true,
                "PortBindings": ["80/tcp": [["HostIp": "", "HostPort": "8080"]]],
            ], "NetworkingConfig": ["EndpointsConfig": ["back": ["Aliases": ["db"]]]],
        ]).devices
        #expect(devices["net"] == ["type": "none"])
        #expect(devices["eth0"] == ["type": "nic", "network": "back", "name": "eth0", "aliases": "db,0123456789ab"])
        let proxies = devices.values.filter { $0["type"] == "proxy" }
        #expect(proxies.contains { $0["listen"] == "tcp:0.0.0.0:8080" && $0["connect"] == "tcp:127.0.0.1:80" })
        #expect(
            proxies.contains { $0["listen"]?.hasPrefix("tcp:0.0.0.0:") == true && $0["connect"] == "tcp:127.0.0.1:81" })
    }

    @Test func mountsAreTranslated() throws {
        let devices = try translate([
            "HostConfig": [
                "Binds": ["/tmp:/host:ro", "store:/data"], "Tmpfs": ["/run": "size=1m,mode=755"],
                "Mounts": [["Type": "volume", "Source": "v", "Target": "/v", "ReadOnly": true]],
            ]
        ]).devices.values
        #expect(devices.contains { $0["source"] == "/tmp" && $0["shift"] == "true" && $0["readonly"] == "true" })
        #expect(devices.contains { $0["source"] == "store" && $0["pool"] == "default" && $0["path"] == "/data" })
        #expect(
            devices.contains { $0["source"] == "tmpfs:" && $0["size"] == "1m" && $0["raw.mount.options"] == "noexec" })
        #expect(devices.contains { $0["source"] == "v" && $0["readonly"] == "true" })
    }

    @Test func volumesWithOptionsAreMounts() throws {
        let bound = try VolumeDriverOptions(["type": "none", "o": "bind,ro", "device": "/tmp"])
        let memory = try VolumeDriverOptions(["type": "tmpfs", "device": "tmpfs", "o": "size=1m,uid=5,noexec"])
        let devices = try translate(["HostConfig": ["Binds": ["b:/b", "m:/m"]]], ["b": bound, "m": memory]).devices
            .values
        #expect(
            devices.contains {
                $0["source"] == "/tmp" && $0["readonly"] == "true" && $0[VolumeDriverOptions.note] == "b"
            })
        #expect(
            devices.contains {
                $0["source"] == "tmpfs:" && $0["size"] == "1m" && $0["uid"] == "5"
                    && $0["raw.mount.options"] == "noexec"
            })
        let kept = VolumeRecord(name: "b", config: bound.config, createdAt: 1)
        #expect(try VolumeDriverOptions(of: kept)?.all == bound.all)
    }

    @Test(
        arguments: [
            ["type": "nfs", "o": "addr=1.2.3.4", "device": ":/x"], ["type": "none", "device": "/tmp"],
            ["type": "none", "o": "bind", "device": "tmp"], ["type": "none", "o": "bind", "device": "/a/../b"],
            ["type": "none", "o": "bind,suid", "device": "/tmp"], ["size": "1"],
        ])
    func otherVolumeOptionsAreRefused(_ options: [String: String]) {
        #expect(throws: EngineError.self) { try VolumeDriverOptions(options) }
    }

    @Test func endpointsKeepWhatWasSaid() throws {
        let device = try translate([
            "HostConfig": ["NetworkMode": "back"],
            "NetworkingConfig": ["EndpointsConfig": ["back": ["Links": ["db:base"], "DriverOpts": ["a": "b"]]]],
        ]).devices["eth0"]
        #expect(EndpointNotes.links(device ?? [:]) == ["db:base"])
        #expect(EndpointNotes.options(device ?? [:]) == ["a": "b"])
    }

    @Test func limitsShowAsTheyAreNow() {
        let shown = LimitTranslation.shown([
            "limits.cpu.shares": "3", "limits.memory": "100", "limits.memory.swap": "50", "limits.cpu": "2-2",
        ])
        #expect(shown["CpuShares"] == 3 && shown["Memory"] == 100 && shown["MemorySwap"] == 150)
        #expect(shown["CpusetCpus"] == "2")
    }

    @Test(
        arguments: [
            ["HostConfig": ["NetworkMode": "none-such"]], ["HostConfig": ["Binds": ["x"]]],
            ["HostConfig": ["Memory": 1]], ["HostConfig": ["RestartPolicy": ["Name": "sometimes"]]],
            ["HostConfig": ["AutoRemove": true, "RestartPolicy": ["Name": "always"]]],
            ["HostConfig": ["PortBindings": ["x/tcp": []]]], ["HostConfig": ["Runtime": "other"]],
            ["HostConfig": ["PidMode": "x"]], ["HostConfig": ["LogConfig": ["Type": "syslog"]]],
            ["HostConfig": ["SecurityOpt": ["what"]]], ["WorkingDir": "relative"], ["StopSignal": "SIGNOPE"],
            ["Env": ["=x"]], ["HostConfig": ["DeviceRequests": [["Count": -1]]]], ["HostConfig": [1]], ["Tty": "yes"],
        ] as [JSON])
    func whatCannotBeIsRefused(_ body: JSON) { #expect(throws: EngineError.self) { try translate(body) } }
}
