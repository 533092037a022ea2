import Testing
import WireTypes

@testable import CLIKit

/// The message of the UsageError that `body` throws.
func usageError(_ body: () throws -> Void) -> String? {
    do {
        try body()
        return nil
    } catch {
        return (error as? UsageError)?.description
    }
}

@Suite struct PortMappingTests {
    @Test(arguments: [
        ("8080:80", "tcp:127.0.0.1:8080", "tcp:127.0.0.1:80"),
        ("0.0.0.0:53:53/udp", "udp:0.0.0.0:53", "udp:127.0.0.1:53"),
        ("[::1]:443:8443/tcp", "tcp:[::1]:443", "tcp:[::1]:8443"),
        ("10.0.0.1:1:65535", "tcp:10.0.0.1:1", "tcp:127.0.0.1:65535"),
    ])
    func becomesAProxyDevice(_ text: String, _ listen: String, _ connect: String) throws {
        #expect(
            try PortMapping(text).devices == [["type": "proxy", "listen": listen, "connect": connect, "nat": "true"]])
    }

    @Test func withoutAPortOfTheHostOneIsChosen() throws {
        for text in ["80", "0:80", "127.0.0.1:0:80"] {
            #expect(try PortMapping(text).devices.map { $0["listen"] } == ["tcp:127.0.0.1:0"], "\(text)")
        }
        #expect(try PortMapping("80-81/udp").devices.map { $0["connect"] } == ["udp:127.0.0.1:80", "udp:127.0.0.1:81"])
    }

    @Test func aRangeBecomesADeviceForEachPort() throws {
        let devices = try PortMapping("8000-8002:80-82").devices
        #expect(devices.map { $0["listen"] } == ["tcp:127.0.0.1:8000", "tcp:127.0.0.1:8001", "tcp:127.0.0.1:8002"])
        #expect(devices.map { $0["connect"] } == ["tcp:127.0.0.1:80", "tcp:127.0.0.1:81", "tcp:127.0.0.1:82"])
    }

    @Test(arguments: [
        "", "80:", ":80", "80:0", "0", "65536:80", "80:80/sctp", "a:b", "1.2.3:80:80", "1.2.3.256:80:80",
        "::1:80:80",
        "80-82:80", "82-80:82-80", "+80:80", "8 0:80", "80:80:80:80",
    ])
    func refusesWhatIsNoPort(_ text: String) {
        #expect(usageError { _ = try PortMapping(text) }?.hasPrefix("-p ") == true)
    }
}

@Suite struct MountMappingTests {
    private func volume(_ text: String) throws -> [String: String] {
        try MountMapping(volume: text, directory: "/home/u/work", home: "/home/u").device
    }

    @Test func pathsAreMadeAbsolute() throws {
        #expect(
            try volume("/srv:/data") == [
                "type": "disk", "source": "/srv", "path": "/data", "shift": "auto", "create": "true",
            ])
        #expect(
            try volume("./site:/www:ro") == [
                "type": "disk", "source": "/home/u/work/site", "path": "/www", "readonly": "true", "shift": "auto",
                "create": "true",
            ])
        #expect(try volume("../x:/x")["source"] == "/home/u/x")
        #expect(try volume(".:/x")["source"] == "/home/u/work")
        #expect(try volume("~/x:/x")["source"] == "/home/u/x")
    }

    @Test func namesAreVolumes() throws {
        #expect(
            try volume("data:/data:rw") == [
                "type": "disk", "pool": "default", "source": "data", "path": "/data", "create": "true",
            ])
        #expect(try volume("data:/data:nocopy")["copy"] == "false")
    }

    @Test(arguments: ["", "a", "/a", "a:b", ":/a", "a:/b:nonsense", "a:/b:ro:rw"])
    func refusesWhatIsNoMount(_ text: String) {
        #expect(usageError { _ = try volume(text) }?.contains("is no mount") == true)
    }

    @Test func grantsOfModules() throws {
        func grant(_ text: String) throws -> [String: String] {
            try MountMapping(directoryGrant: text, directory: "/w", home: nil).device
        }
        #expect(try grant("/a::/b") == ["type": "disk", "source": "/a", "path": "/b", "shift": "true"])
        #expect(
            try grant("data::/b:ro") == [
                "type": "disk", "source": "/w/data", "path": "/b", "readonly": "true", "shift": "true",
            ])
        #expect(try grant("/a")["path"] == "/a")
        for text in ["", "/a:/b", "::/b", "/a::"] { #expect(usageError { _ = try grant(text) } != nil, "\(text)") }
    }
}

@Suite struct InstanceOptionsTests {
    private func request(_ change: (inout InstanceOptions) -> Void) throws -> API.InstancesPost {
        var options = InstanceOptions()
        options.image = "alpine"
        options.currentDirectory = "/w"
        change(&options)
        return try options.request()
    }

    @Test func nothingSaidIsNothingAskedFor() throws {
        let post = try request { _ in }
        #expect(post.source.type == "image" && post.source.reference == "alpine")
        #expect(post.config.isEmpty && post.devices.isEmpty && post.profiles == nil && post.kind == nil)
        #expect(!post.ephemeral && post.name.isEmpty && post.type.isEmpty)
    }

    @Test func kindsAndNames() throws {
        let post = try request {
            $0.kind = "machine"
            $0.name = "vm"
            $0.ephemeral = true
            $0.profiles = ["default", "big"]
            $0.pull = "always"
        }
        #expect(post.kind == "machine" && post.type == "virtual-machine" && post.name == "vm" && post.ephemeral)
        #expect(post.profiles == ["default", "big"] && post.source.pull == "always")
    }

    @Test func theProgramIsKeptWordForWord() throws {
        let post = try request {
            $0.entrypoint = "/bin/sh"
            $0.command = ["-c", "echo \"a b\"\n\u{1}"]
            $0.environment = [("A", "1"), ("A", "2"), ("B", "")]
            $0.user = "web:www"
            $0.workingDirectory = "/srv"
            $0.terminal = true
            $0.input = true
        }
        #expect(post.config["oci.entrypoint"] == #"["/bin/sh"]"#)
        #expect(post.config["oci.cmd"] == #"["-c","echo \"a b\"\n\u0001"]"#)
        #expect(post.config["environment.A"] == "2" && post.config["environment.B"] == "")
        #expect(post.config["oci.user"] == "web:www" && post.config["oci.cwd"] == "/srv")
        #expect(post.config["oci.tty"] == "true" && post.config["oci.stdin"] == "true")
    }

    @Test func anEntrypointTakesTheImagesArgumentsAway() throws {
        #expect(try request { $0.entrypoint = "/x" }.config["oci.cmd"] == "[]")
        #expect(try request { $0.entrypoint = "" }.config["oci.entrypoint"] == "[]")
        #expect(try request { _ in }.config["oci.cmd"] == nil)
    }

    @Test func limits() throws {
        let post = try request {
            $0.cpus = "1.5"
            $0.memory = "512m"
            $0.pidsLimit = "100"
            $0.disk = "10g"
        }
        #expect(post.config["limits.cpu.allowance"] == "150ms/100ms" && post.config["limits.cpu"] == nil)
        #expect(post.config["limits.memory"] == "512MiB" && post.config["limits.processes"] == "100")
        #expect(post.devices["root"] == ["type": "disk", "path": "/", "pool": "default", "size": "10GiB"])
        #expect(try request { $0.cpus = "2" }.config["limits.cpu"] == "2")
        #expect(try request { $0.cpus = "0-1,3" }.config["limits.cpu"] == "0-1,3")
        for text in ["0", "-1", "x", "1.5.5", "nan"] {
            #expect(usageError { _ = try request { $0.cpus = text } }?.hasPrefix("--cpus") == true, "\(text)")
        }
    }

    @Test func security() throws {
        let post = try request {
            $0.privileged = true
            $0.addCapabilities = ["NET_ADMIN", "SYS_TIME"]
            $0.dropCapabilities = ["ALL"]
            $0.readOnly = true
            $0.securityOptions = ["no-new-privileges", "seccomp=unconfined"]
        }
        #expect(post.config["security.privileged"] == "true" && post.config["security.readonly"] == "true")
        #expect(post.config["security.capabilities.add"] == "NET_ADMIN,SYS_TIME")
        #expect(post.config["security.capabilities.drop"] == "ALL" && post.config["security.seccomp"] == "unconfined")
        let file = try request {
            $0.securityOptions = ["seccomp=p.json"]
            $0.readFile = { path, _ throws(UsageError) in "{\"of\":\"\(path)\"}" }
        }
        #expect(file.config["security.seccomp"] == #"{"of":"p.json"}"#)
        #expect(usageError { _ = try request { $0.securityOptions = ["apparmor=x"] } } != nil)
    }

    @Test func devicesInOrder() throws {
        let post = try request {
            $0.publish = ["8080:80", "9000-9001:90-91"]
            $0.volumes = ["data:/data"]
            $0.directories = ["/g::/g"]
            $0.network = "lab"
        }
        #expect(post.devices.keys.sorted() == ["dir-0", "eth0", "mount-0", "proxy-0", "proxy-1", "proxy-2"])
        #expect(post.devices["eth0"] == ["type": "nic", "network": "lab", "name": "eth0"])
        #expect(try request { $0.network = "none" }.devices["eth0"] == ["type": "none"])
        #expect(try request { $0.network = "host" }.devices["eth0"] == ["type": "nic", "nictype": "host"])
    }

    @Test func lxdsOwnWordsCountMore() throws {
        let post = try request {
            $0.memory = "1g"
            $0.config = ["limits.memory=2GiB", "user.note=a=b"]
            $0.network = "none"
            $0.devices = ["eth0,type=nic,network=x"]
            $0.labels = ["team=red", "bare"]
            $0.restart = "on-failure:3"
            $0.autostart = true
            $0.stopTimeout = "1m30s"
            $0.timeout = "500ms"
        }
        #expect(post.config["limits.memory"] == "2GiB" && post.config["user.note"] == "a=b")
        #expect(post.devices["eth0"] == ["type": "nic", "network": "x"])
        #expect(post.config["user.team"] == "red" && post.config["user.bare"] == "")
        #expect(post.config["restart.policy"] == "on-failure:3" && post.config["boot.autostart"] == "true")
        #expect(post.config["stop.timeout"] == "90" && post.config["module.timeout"] == "0.5")
    }

    @Test(arguments: ["sometimes", "always:3", "on-failure:x", "on-failure:1:2", ""])
    func refusesUnknownRestartPolicies(_ text: String) {
        #expect(usageError { _ = try request { $0.restart = text } }?.contains("restart policy") == true)
    }
}

@Suite struct WordsTests {
    @Test func allBehindTheFirstWordIsTheProgram() throws {
        let (image, command) = try ImageAndCommand.split(["alpine", "sh", "-c", "--rm"], verb: "run")
        #expect(image == "alpine" && command == ["sh", "-c", "--rm"])
    }

    @Test func theDashesOfBothTraditions() throws {
        #expect(try ImageAndCommand.split(["--", "alpine", "ls"], verb: "run").first == "alpine")
        #expect(try ImageAndCommand.split(["web", "--", "ls", "--"], verb: "exec").command == ["ls", "--"])
    }

    @Test func anUnknownOptionIsNotAnImage() {
        #expect(
            usageError { _ = try ImageAndCommand.split(["--nonsense"], verb: "run") }
                == "unknown option '--nonsense' (see 'isle run --help')")
        #expect(usageError { _ = try ImageAndCommand.split([], verb: "run") }?.hasPrefix("IMAGE is missing") == true)
    }

    @Test func environments() throws {
        let inherited = ["HOME": "/root"]
        let settings = try KeyValue.environment(["A=1=2", "HOME", "MISSING", "E="]) { inherited[$0] }
        #expect(settings.map { "\($0.name)=\($0.value)" } == ["A=1=2", "HOME=/root", "E="])
        #expect(usageError { _ = try KeyValue.environment(["=x"]) { _ in nil } } != nil)
        #expect(KeyValue.environmentFile("# comment\nA=1\r\n\n  B=x # y\n") == ["A=1", "B=x # y"])
    }

    @Test func devices() throws {
        let (name, settings) = try KeyValue.device("data,type=disk,source=/a=b,path=/b")
        #expect(name == "data" && settings == ["type": "disk", "source": "/a=b", "path": "/b"])
        for text in ["", "data", "type=disk,path=/", "data,disk"] {
            #expect(usageError { _ = try KeyValue.device(text) } != nil, "\(text)")
        }
    }

    @Test func imageNames() {
        #expect(ImageNames.short("docker.io/library/alpine:latest") == "alpine")
        #expect(ImageNames.short("docker.io/grafana/grafana:11") == "grafana/grafana:11")
        #expect(ImageNames.short("localhost:5000/x:latest") == "localhost:5000/x")
        #expect(ImageNames.short("localhost/app:latest") == "app")
        #expect(ImageNames.short(String(repeating: "0123456789abcdef", count: 4)) == "0123456789ab")
        #expect(
            ImageNames.looksLikeFile("hello.wasm") && ImageNames.looksLikeFile("./x")
                && ImageNames.looksLikeFile("A.VMDK"))
        #expect(!ImageNames.looksLikeFile("alpine:3.20") && !ImageNames.looksLikeFile("debian/bookworm"))
    }
}
