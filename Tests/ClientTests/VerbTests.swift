import Glibc
import Synchronization
import Testing
import WireTypes

@testable import Client

/// A daemon that writes down what it is asked and gives prepared answers.
private final class Ledger: Sendable {
    let requests = Mutex<[(line: String, body: JSONValue)]>([])
    /// Metadata of the answer by `METHOD target`; with `async:` in front it is that of an operation that ended well.
    let answers: [String: String]

    init(_ answers: [String: String]) { self.answers = answers }

    func script(_ peer: Peer) throws {
        while true {
            let request = try peer.request()
            let line = "\(request.method) \(request.target)"
            if request.target.hasPrefix("/1.0/operations/o"), request.path.hasSuffix("/wait") {
                let number = Int(request.path.split(separator: "/")[2].dropFirst()) ?? 0
                let line = requests.withLock { $0[number].line }
                try peer.sync(Peer.operation("o\(number)", 200, String(answers[line]?.dropFirst(6) ?? "null")))
                continue
            }
            let body = try? JSON.decode(JSONValue.self, from: request.body)
            let number = requests.withLock { all in
                all.append(
                    (
                        line,
                        body ?? (request.body.isEmpty ? .null : .string(String(decoding: request.body, as: UTF8.self)))
                    ))
                return all.count - 1
            }
            switch answers[line] {
            case let text? where text.hasPrefix("async:"): try peer.async("o\(number)")
            case let text? where text.hasPrefix("raw:"): try peer.answer(200, String(text.dropFirst(4)))
            case let text?: try peer.sync(text)
            case nil where request.method == "GET":
                try peer.answer(404, #"{"type":"error","error":"no such thing","error_code":404}"#)
            case nil: try peer.async("o\(number)")
            }
        }
    }
}

/// What each verb asks the daemon for, and how it shows the answer.
@Suite(.enabled(if: Program.path != nil, "the program isle is not built beside the tests"))
struct VerbTests {
    private func isle(
        _ arguments: String, answers: [String: String] = [:], input: String? = nil
    ) throws -> (result: Program.Result, requests: [String], bodies: [JSONValue]) {
        let ledger = Ledger(answers)
        let daemon = try FakeDaemon { try ledger.script($0) }
        defer { daemon.stop() }
        let words = arguments.split(separator: " ").map { $0.replacing("␣") }
        let result = try Program.run(words, socket: daemon.path, input: input)
        let all = ledger.requests.withLock { $0 }
        return (result, all.map(\.line), all.map(\.body))
    }

    @Test(arguments: [
        ("start web", "start", 0), ("stop web", "stop", -1), ("stop -t 5 web", "stop", 5),
        ("restart --timeout 7 web", "restart", 7),
        ("pause web", "freeze", 0), ("resume web", "unfreeze", 0), ("unpause web", "unfreeze", 0),
        ("kill web", "kill", 0),
    ])
    func statesAreAskedFor(_ command: String, _ action: String, _ timeout: Int64) throws {
        let (result, requests, bodies) = try isle(command)
        #expect(result.status == 0 && result.output == "web\n")
        #expect(requests == ["PUT /1.0/instances/web/state"])
        #expect(bodies[0]["action"]?.stringValue == action && bodies[0]["timeout"]?.intValue == timeout)
    }

    @Test func theRestOfTheLifecycle() throws {
        #expect(try isle("stop --force web").bodies[0]["force"] == true)
        #expect(try isle("kill -s HUP web").bodies[0]["signal"] == "HUP")
        #expect(try isle("rm -f web").requests == ["DELETE /1.0/instances/web?force=1"])
        #expect(try isle("delete a b -q").requests == ["DELETE /1.0/instances/a", "DELETE /1.0/instances/b"])
        let rename = try isle("rename web new")
        #expect(rename.requests == ["POST /1.0/instances/web"] && rename.bodies[0]["name"] == "new")
        let wait = try isle("wait web", answers: ["GET /1.0/instances/web/wait": #"{"exit_code":7}"#])
        #expect(wait.result.output == "7\n" && wait.result.status == 0)
        let all = try isle(
            "stop --all",
            answers: [
                "GET /1.0/instances?recursion=1": #"[{"name":"a","status":"Running"},{"name":"b","status":"Stopped"}]"#
            ])
        #expect(all.requests.last == "PUT /1.0/instances/a/state" && all.result.output == "a\n")
        #expect(try isle("--project p start web").requests == ["PUT /1.0/instances/web/state?project=p"])
    }

    @Test func configuration() throws {
        let instance =
            #"{"name":"web","config":{"limits.cpu":"2","volatile.x":"y"},"devices":{"d":{"type":"disk","path":"/d"}},"profiles":["default"],"ephemeral":false,"description":"","expanded_config":{"limits.cpu":"2","user.p":"q"},"expanded_devices":{"d":{"type":"disk","path":"/d"},"eth0":{"type":"nic"}},"status":"Running"}"#
        let answers = ["GET /1.0/instances/web": instance]
        #expect(try isle("config get web limits.cpu", answers: answers).result.output == "2\n")
        #expect(try isle("config get web user.p", answers: answers).result.output == "q\n")
        let set = try isle("config set web a.b=c user.n=x=y")
        #expect(
            set.requests == ["PATCH /1.0/instances/web"] && set.bodies[0] == ["config": ["a.b": "c", "user.n": "x=y"]])
        #expect(try isle("config set web user.n some␣text").bodies[0] == ["config": ["user.n": "some text"]])
        #expect(
            try isle("config set web user.n -", input: "from\nstdin").bodies[0] == ["config": ["user.n": "from\nstdin"]]
        )
        #expect(try isle("config unset web a b").bodies[0] == ["config": ["a": "", "b": ""]])
        let show = try isle("config show web", answers: answers).result.output
        #expect(show.contains("limits.cpu: \"2\"") && !show.contains("volatile") && !show.contains("status"))
        #expect(try isle("config show -e web", answers: answers).result.output.contains("user.p: q"))
    }

    @Test func editingFromStandardInput() throws {
        let answers = ["GET /1.0/instances/web": #"{"config":{},"devices":{}}"#]
        let edit = try isle(
            "config edit web", answers: answers,
            input: "config:\n  limits.cpu: 2\n  boot.autostart: true\ndevices: {}\nprofiles:\n- default\n")
        #expect(edit.requests.last == "PUT /1.0/instances/web")
        #expect(
            edit.bodies.last == [
                "config": ["limits.cpu": "2", "boot.autostart": "true"], "devices": [:], "profiles": ["default"],
            ])
        let wrong = try isle("config edit web", answers: answers, input: "config: [a\n")
        #expect(wrong.result.status == 2 && wrong.result.error.hasPrefix("Error: line 1 of the YAML"))
    }

    @Test func devices() throws {
        let answers = [
            "GET /1.0/instances/web":
                #"{"name":"web","config":{},"devices":{"d":{"type":"disk","path":"/d"}},"expanded_devices":{"d":{"type":"disk","path":"/d"},"eth0":{"type":"nic","network":"n"}}}"#
        ]
        let list = try isle("config device list web", answers: answers).result.output
        #expect(
            list == "NAME  TYPE  FROM      SETTINGS\nd     disk  instance  path=/d\neth0  nic   profile   network=n\n")
        let add = try isle("config device add web x disk source=/s path=/x", answers: answers)
        #expect(
            add.bodies.last?["devices"] == [
                "d": ["type": "disk", "path": "/d"], "x": ["type": "disk", "source": "/s", "path": "/x"],
            ])
        #expect(try isle("config device add web d disk", answers: answers).result.status == 2)
        let set = try isle("config device set web d path=/e readonly=true", answers: answers)
        #expect(set.bodies.last?["devices"] == ["d": ["type": "disk", "path": "/e", "readonly": "true"]])
        #expect(try isle("config device remove web d", answers: answers).bodies.last?["devices"] == [:])
        let missing = try isle("config device remove web eth0", answers: answers)
        #expect(missing.result.error.contains("has no device 'eth0' of its own") && missing.requests.count == 1)
    }

    @Test func images() throws {
        let pull = try isle(
            "image pull --arch arm64 alpine", answers: ["POST /1.0/images": #"async:{"fingerprint":"abc"}"#])
        #expect(pull.bodies[0]["source"]?["type"] == "registry" && pull.bodies[0]["source"]?["reference"] == "alpine")
        #expect(pull.bodies[0]["source"]?["architecture"] == "arm64" && pull.result.output == "alpine\n")
        let base = try isle(
            "image build-base debian/trixie --variant minbase --package curl", answers: ["POST /1.0/images": "async:{}"]
        )
        #expect(base.bodies[0]["source"]?["type"] == "bootstrap" && base.bodies[0]["source"]?["variant"] == "minbase")
        #expect(base.bodies[0]["source"]?["packages"] == ["curl"])
        let push = try isle("image push alpine localhost:5000/a:1 -u me --password-file -", input: "secret\n")
        #expect(
            push.requests == ["POST /1.0/images/alpine/push"] && push.bodies[0]["reference"] == "localhost:5000/a:1")
        #expect(push.bodies[0]["username"] == "me" && push.bodies[0]["password"] == "secret")
        #expect(!push.result.output.contains("secret") && !push.result.error.contains("secret"))
        let tag = try isle("image tag alpine x:1", answers: ["POST /1.0/images/alpine/references": "null"])
        #expect(tag.requests == ["POST /1.0/images/alpine/references"] && tag.bodies[0]["name"] == "x:1")
        #expect(try isle("image rm docker.io/a/b").requests == ["DELETE /1.0/images/docker.io%2Fa%2Fb"])
        let prune = try isle(
            "image prune -a",
            answers: ["POST /1.0/images/prune": #"async:{"removed":["0123456789abcdef"],"freed":2048}"#])
        #expect(prune.bodies[0]["all"] == true && prune.result.output == "0123456789ab\n2KiB freed\n")
        let history = try isle(
            "image history a", answers: ["GET /1.0/images/a/history": #"[{"created_by":"RUN x","size":1024}]"#])
        #expect(history.result.output == "CREATED  SIZE  BY\n-        1KiB  RUN x\n")
        let save = try isle(
            "image save --type docker a", answers: ["GET /1.0/images/a/export?format=docker": "raw:TAR"])
        #expect(save.result.output == "TAR")
        let list = try isle(
            "image list",
            answers: [
                "GET /1.0/images?recursion=1":
                    #"[{"fingerprint":"0123456789abcdef","references":["docker.io/library/b:latest","localhost/a:1"],"kinds":["application"],"architecture":"x86_64","size":1024,"used_by":["w"]}]"#
            ])
        #expect(
            list.result.output == """
                IMAGE  FINGERPRINT   RUNS AS      ARCH    SIZE  INSTANCES  CREATED
                a:1    0123456789ab  application  x86_64  1KiB          1  -
                b      0123456789ab  application  x86_64  1KiB          1  -

                """)
    }

    @Test func filesAreUploadedAndThenUsed() throws {
        let path = "/tmp/isle-client-test-\(getpid())-\(UInt32.random(in: .min ... .max)).tar"
        let descriptor = open(path, O_WRONLY | O_CREAT, 0o600)
        _ = write(descriptor, "module", 6)
        close(descriptor)
        defer { unlink(path) }
        let answers = [
            "POST /1.0/images": #"async:{"fingerprint":"feed"}"#, "POST /1.0/instances": #"async:{"name":"m"}"#,
        ]
        let launch = try isle("launch \(path) m", answers: answers)
        #expect(launch.requests == ["POST /1.0/images", "POST /1.0/instances"] && launch.result.output == "m\n")
        #expect(launch.bodies[0] == "module" && launch.bodies[1]["source"]?["reference"] == "feed")
        // A module is sent only if the daemon does not know its content.
        let module = String(path.dropLast(4)) + ".wasm"
        #expect(Glibc.rename(path, module) == 0)
        defer { unlink(module) }
        let known = try isle("launch \(module) m", answers: answers)
        #expect(known.requests == ["POST /1.0/instances"] && known.result.output == "m\n")
        let digest = "content:sha256:120970d812836f19888625587a4606a5ad23cef31c8684e601771552548fc6b9"
        #expect(known.bodies[0]["source"]?["reference"] == .string(digest))
        let missing = try isle("launch ./isle-client-test-nothing.tar")
        #expect(missing.result.status == 1 && missing.requests.isEmpty)
    }

    @Test func networksAndVolumes() throws {
        let create = try isle("network create lab ipv4.address=10.9.0.1/24", answers: ["POST /1.0/networks": "null"])
        #expect(create.bodies[0]["name"] == "lab" && create.bodies[0]["config"] == ["ipv4.address": "10.9.0.1/24"])
        #expect(create.bodies[0]["type"] == "bridge" && create.result.output == "lab\n")
        let ports = try isle(
            "network list --ports",
            answers: [
                "GET /1.0/instances?recursion=1":
                    #"[{"name":"web","status":"Running","ports":[{"host_address":"0.0.0.0","host_port":80,"guest_port":8080,"protocol":"tcp"}]}]"#
            ])
        #expect(
            ports.result.output
                == "HOST        PROTOCOL  INSTANCE  PORT  STATUS\n0.0.0.0:80  tcp       web       8080  Running\n")
        let leases = try isle(
            "network leases n",
            answers: [
                "GET /1.0/networks/n/leases":
                    #"[{"hostname":"web","address":"10.0.0.2","hwaddr":"00:16:3e:00:00:01","type":"static"}]"#
            ])
        #expect(leases.result.output.hasSuffix("web   10.0.0.2  00:16:3e:00:00:01  static\n"))
        #expect(try isle("network delete n").requests == ["DELETE /1.0/networks/n"])
        let volume = try isle(
            "volume create data more", answers: ["POST /1.0/storage-pools/default/volumes/custom": "null"])
        #expect(volume.bodies.map { $0["name"]?.stringValue } == ["data", "more"])
        #expect(try isle("volume rm data").requests == ["DELETE /1.0/storage-pools/default/volumes/custom/data"])
        let list = try isle(
            "volume ls -q",
            answers: [
                "GET /1.0/storage-pools/default/volumes/custom?recursion=1":
                    #"[{"name":"data","used_by":["/1.0/instances/web"]}]"#
            ])
        #expect(list.result.output == "data\n")
    }

    @Test func profilesKernelsAndTheRest() throws {
        let create = try isle(
            "profile create small limits.memory=1GiB -D root,type=disk,path=/", answers: ["POST /1.0/profiles": "null"])
        #expect(
            create.bodies[0]["config"] == ["limits.memory": "1GiB"]
                && create.bodies[0]["devices"] == ["root": ["type": "disk", "path": "/"]])
        #expect(try isle("profile set small a=b").requests == ["PATCH /1.0/profiles/small"])
        #expect(try isle("profile rename small tiny").bodies[0]["name"] == "tiny")
        #expect(try isle("profile delete small").requests == ["DELETE /1.0/profiles/small"])
        let fetch = try isle("kernel fetch", answers: ["POST /1.0/kernels": #"async:{"version":"6.1"}"#])
        #expect(fetch.result.output == "6.1\n" && fetch.bodies[0] == [:])
        #expect(try isle("kernel fetch 6.2").bodies[0] == ["version": "6.2"])
        #expect(try isle("kernel rm 6.1").requests == ["DELETE /1.0/kernels/6.1"])
        let kernels = try isle(
            "kernel list",
            answers: [
                "GET /1.0/kernels":
                    #"[{"version":"6.1","architecture":"x86_64","size":1024,"default":true,"source":"pkg"}]"#
            ])
        #expect(
            kernels.result.output == "VERSION  ARCH    SIZE  DEFAULT  SOURCE\n6.1      x86_64  1KiB  yes      pkg\n")
        let doctor = try isle(
            "doctor",
            answers: [
                "GET /1.0/doctor":
                    #"{"checks":[{"name":"KVM","level":"warning","finding":"none","advice":"use TCG"},{"name":"crun","level":"error","finding":"missing"}]}"#
            ])
        #expect(doctor.result.status == 1)
        #expect(doctor.result.output == "warn  KVM: none\n      → use TCG\nFAIL  crun: missing\n")
        let version = try isle(
            "version", answers: ["GET /1.0": #"{"environment":{"server_version":"9.9","driver":"crun"}}"#])
        #expect(version.result.output.contains("Server:   9.9\n") && version.result.status == 0)
        let operations = try isle(
            "operation list -q",
            answers: ["GET /1.0/operations?recursion=1": #"{"running":[{"id":"1-2","description":"x"}]}"#])
        #expect(operations.result.output == "1-2\n")
    }

    @Test func logsAskForWhatWasSaid() throws {
        let target = "GET /1.0/instances/web/logs/output?follow=1&tail=5&timestamps=1"
        let logs = try isle("logs -f -n 5 -t web", answers: [target: "raw:one\ntwo\u{1B}[0m\n"])
        // What programs write is passed on as it is.
        #expect(logs.result.output == "one\ntwo\u{1B}[0m\n" && logs.requests == [target])
        let since = try isle("logs --since 2026-01-01T00:00:00Z web")
        #expect(since.requests == ["GET /1.0/instances/web/logs/output?since=2026-01-01T00%3A00%3A00Z"])
        #expect(since.result.status == 1 && since.result.error == "Error: no such thing\n")
        #expect(try isle("logs --tail x web").result.status == 2)
        #expect(
            try isle("attach web", answers: ["GET /1.0/instances/web": #"{"status":"Stopped"}"#]).result.error.contains(
                "'web' is not running"))
    }

    @Test func infoShowsInstanceAndState() throws {
        let answers = [
            "GET /1.0/instances/web":
                #"{"name":"web","kind":"application","status":"Running","addresses":["10.0.0.2"],"image_reference":"docker.io/library/nginx:latest"}"#,
            "GET /1.0/instances/web/state":
                #"{"pid":42,"processes":3,"cpu":{"usage":1500000000},"memory":{"usage":1048576,"total":2097152}}"#,
        ]
        let info = try isle("info web", answers: answers).result.output
        for line in [
            "Status:     Running", "Image:      nginx", "PID:        42", "CPU time:   1.5 s",
            "Memory:     1MiB of 2MiB",
        ] {
            #expect(info.contains(line + "\n"), "\(line)")
        }
        #expect(try isle("info web --format yaml", answers: answers).result.output.contains("state:\n  cpu:\n"))
    }

    @Test func warningsOfAnOperationAreShown() throws {
        let answers = ["PUT /1.0/instances/vm/state": #"async:{"warnings":["it runs without KVM","\u001b[31m"]}"#]
        let result = try isle("start vm", answers: answers).result
        #expect(result.status == 0 && result.output == "vm\n")
        #expect(result.error == "warning: it runs without KVM\nwarning: \\u{1B}[31m\n", "\(result.error)")
    }
}

extension Substring {
    /// With a space in place of each `␣`.
    fileprivate func replacing(_ mark: Character) -> String { String(map { $0 == mark ? " " : $0 }) }
}
