import CLIKit
import Testing
import WireTypes

@testable import StackKit

/// A stack of files in memory; the first is `/srv/shop/compose.yaml`.
private func stack(
    _ files: [String: String], paths: [String] = ["/srv/shop/compose.yaml"], profiles: [String] = [],
    environment: [String: String] = [:]
) throws -> Stack {
    let access = StackFile.Access(
        read: { path throws(StackError) in
            guard let text = files[path] else { throw StackError("no file \(path)") }
            return text
        }, environment: { environment[$0] })
    let file = try StackFile(paths: paths, access: access)
    return try Stack(file, name: nil, profiles: profiles, storage: "/state", access: access)
}

private func stack(_ text: String, profiles: [String] = [], environment: [String: String] = [:]) throws -> Stack {
    try stack(["/srv/shop/compose.yaml": text], profiles: profiles, environment: environment)
}

@Suite struct StackTests {
    @Test func aServiceBecomesWhatLaunchTakes() throws {
        let read = try stack(
            """
            services:
              web:
                image: nginx:${TAG:-1}
                command: serve "a b"
                environment: [A=1, FROM_HERE]
                ports: ["8080:80", "127.0.0.1:53:53/udp", "90"]
                volumes: [./site:/srv:ro, data:/data]
                networks: {front: {aliases: [www]}, back: }
                depends_on: {db: {condition: service_healthy}}
                healthcheck: {test: curl -f localhost, interval: 5s, retries: 2}
                deploy:
                  replicas: 3
                  update_config: {order: start-first, parallelism: 2, delay: 1s}
                  resources: {limits: {cpus: "0.5", memory: 64M}}
                ulimits: {nofile: {soft: 10, hard: 20}, nproc: 5}
                tmpfs: /run:size=1m
                init: true
                x-isle: {kind: system}
              db: {image: postgres, container_name: the-db}
            networks: {front: , back: {internal: true}}
            volumes: {data: }
            """, environment: ["TAG": "2", "FROM_HERE": "there"])
        #expect(read.name == "shop")
        let web = try #require(read.services.first { $0.name == "web" })
        #expect(web.replicas == 3)
        #expect(web.update == Stack.Update(startsFirst: true, parallelism: 2, delay: 1))
        #expect(web.dependencies.map(\.condition) == [.healthy])
        let post = try web.options.request()
        #expect(post.source.reference == "nginx:2")
        #expect(post.kind == "system")
        #expect(post.config["oci.cmd"] == #"["serve","a b"]"#)
        #expect(post.config["environment.FROM_HERE"] == "there")
        #expect(post.config["health.test"] == #"["CMD-SHELL","curl -f localhost"]"#)
        #expect(post.config["limits.kernel.nofile"] == "10:20")
        #expect(post.config["limits.memory"] == "64MiB")
        #expect(post.config["oci.init"] == "true")
        #expect(web.nics["eth0"]?["network"] == "shop_back")
        #expect(web.nics["eth1"]?["aliases"] == "web,www")
        #expect(web.devices["port-0"]?["listen"] == "tcp:0.0.0.0:8080")
        #expect(web.devices["port-0"]?["service"] == "shop-web")
        #expect(web.devices["port-2"]?["service"] == nil)
        #expect(web.devices["mount-0"]?["source"] == "/srv/shop/site")
        #expect(web.devices["mount-1"]?["source"] == "shop_data")
        #expect(read.networks["back"]?.config == ["internal": "true"])
        #expect(try read.ordered().map(\.name) == ["db", "web"])
        #expect(read.instanceName(web, 2) == "shop-web-2")
        let db = try #require(read.services.first { $0.name == "db" })
        #expect(read.instanceName(db, 1) == "the-db")
        #expect(db.nics["eth0"]?["network"] == "shop_default")
    }

    @Test func aBuildIsWhatTheBuilderIsTold() throws {
        let read = try stack(
            """
            services:
              web:
                build:
                  context: ./web
                  dockerfile: docker/Dockerfile
                  args: [A=1, FROM_HERE, NOT_SET]
                  labels: {x: y}
                  target: final
                  shm_size: 64m
                  network: none
                  extra_hosts: ["mirror:10.0.0.1"]
                  secrets: [token, {source: key, target: other}]
                pull_policy: build
              plain: {image: "here:2", build: .}
            secrets: {token: {content: secret}, key: {file: ./key}}
            """, environment: ["FROM_HERE": "there"])
        let web = try #require(read.services.first { $0.name == "web" })
        let build = try #require(web.build)
        #expect(build.context == "/srv/shop/web")
        #expect(build.request.dockerfile == "docker/Dockerfile")
        #expect(build.request.tags == ["shop-web"])
        #expect(web.options.image == "shop-web")
        #expect(web.buildsAlways)
        #expect(build.request.arguments == ["A": "1", "FROM_HERE": "there"])
        #expect(build.request.labels == ["x": "y"])
        #expect(build.request.target == "final")
        #expect(build.request.shmSize == 64 << 20)
        #expect(build.request.network == "none")
        #expect(build.request.extraHosts == ["mirror:10.0.0.1"])
        #expect(build.secrets["token"]?.content == "secret")
        #expect(build.secrets["other"]?.path == "/srv/shop/key")
        let plain = try #require(read.services.first { $0.name == "plain" })
        #expect(plain.build?.request.tags == ["here:2"])
        #expect(plain.options.pull == "never")
        #expect(!plain.buildsAlways)
    }

    @Test(arguments: [
        ("{context: 'https://host/x.git'}", "is no folder"), ("{dockerfile: ../Dockerfile}", "not below"),
        ("{bogus: 1}", "bogus"), ("{secrets: [none]}", "a secret"), ("{shm_size: much}", "much"),
        ("{dockerfile_inline: FROM x}", "dockerfile_inline"),
    ]) func aBuildThatCannotBeIsRefused(_ text: String, _ word: String) {
        #expect {
            try stack("services: {a: {build: \(text)}}")
        } throws: { "\($0)".contains(word) || (($0 as? StackError)?.message.contains(word) ?? false) }
    }

    @Test func theHashChangesWithTheServiceAloneAndNotWithItsNumber() throws {
        func hash(_ rest: String) throws -> String {
            try stack("services: {a: {image: x\(rest)}, b: {image: y}}").services[0].hash
        }
        let first = try hash("")
        #expect(try hash(", deploy: {replicas: 4}") == hash(", deploy: {}"))
        #expect(try hash(", command: z") != first)
        #expect(try stack("services: {a: {image: x}, b: {image: other}}").services[0].hash == first)
    }

    @Test func filesGoOverOneAnotherAndExtend() throws {
        let read = try stack(
            [
                "/srv/shop/compose.yaml":
                    "services: {a: {extends: {file: base.yaml, service: base}, environment: {A: own}}}",
                "/srv/shop/base.yaml":
                    "services: {base: {image: b, environment: [A=1, B=2], command: [x], ports: ['1:1']}}",
                "/srv/shop/over.yaml": "services: {a: {command: [y], ports: ['2:2']}}",
            ], paths: ["/srv/shop/compose.yaml", "/srv/shop/over.yaml"])
        let post = try read.services[0].options.request()
        #expect(post.config["environment.A"] == "own")
        #expect(post.config["environment.B"] == "2")
        #expect(post.config["oci.cmd"] == #"["y"]"#)
        #expect(read.services[0].devices.count == 2)
    }

    @Test func profilesChooseServices() throws {
        let text = "services: {a: {image: x}, b: {image: x, profiles: [debug]}}"
        #expect(try stack(text).services.map(\.name) == ["a"])
        #expect(try stack(text, profiles: ["debug"]).services.map(\.name) == ["a", "b"])
        #expect(try stack(text, environment: ["COMPOSE_PROFILES": "debug,x"]).services.count == 2)
    }

    @Test func configsAndSecretsAreShownReadOnly() throws {
        let read = try stack(
            """
            services: {a: {image: x, configs: [c], secrets: [{source: s, target: key}]}}
            configs: {c: {content: "hello"}}
            secrets: {s: {file: ./secret}}
            """)
        #expect(read.written == ["configs-c": "hello"])
        #expect(read.services[0].devices["configs-0"]?["source"] == "/state/shop/configs-c")
        #expect(read.services[0].devices["configs-0"]?["path"] == "/c")
        #expect(read.services[0].devices["secrets-0"]?["path"] == "/run/secrets/key")
        #expect(read.services[0].devices["secrets-0"]?["source"] == "/srv/shop/secret")
    }

    @Test(arguments: [
        "services: {a: {}}", "services: {a: {image: x, unknown: 1}}", "bogus: 1", "services: {a: [1]}",
        "services: {a: {image: x, ports: [http]}}", "services: {a: {image: x, networks: [none-such]}}",
        "services: {a: {image: x, volumes: ['data:/d']}}", "services: {a: {image: x, volumes: [/d]}}",
        "services: {a: {image: x, depends_on: {b: {condition: odd}}}}", "services: {a: {image: x, extends: a}}",
        "services: {a: {image: x, cgroup_parent: y}}", "services: {a: {image: x, x-isle: {kind: y}}}",
        "services: {a: {image: x, container_name: y, deploy: {replicas: 2}}}",
        "services: {a: {image: x, secrets: [s]}}",
        "networks: {n: {driver: overlay}}", "configs: {c: {}}", "services: {a: {image: x, command: 'open \"'}}",
    ])
    func whatIsWrongIsNamed(_ text: String) {
        #expect(throws: StackError.self) { try stack(text) }
    }

    @Test func circlesAndUnknownServicesAreRefused() throws {
        let circle = try stack("services: {a: {image: x, depends_on: [b]}, b: {image: x, depends_on: [a]}}")
        #expect(throws: StackError.self) { try circle.ordered() }
        #expect(throws: StackError.self) { try stack("services: {a: {image: x, depends_on: [b]}}").ordered() }
        #expect(throws: StackError.self) { try stack("services: {a: {image: x}}").ordered(["c"]) }
    }

    @Test func environmentFiles() {
        let parsed = EnvironmentFile.parse("# c\nA=1 # note\nexport B='x # y'\nC=\"q\"\n\nbroken\nD=a#b\n")
        #expect(parsed.map { "\($0.name)=\($0.value)" } == ["A=1", "B=x # y", "C=q", "D=a#b"])
    }
}
