set -eu
data=/var/lib/postgresql/test
initdb --pgdata "${data}" --auth-local trust --auth-host scram-sha-256 > /dev/null
pg_ctl --pgdata "${data}" --options "-c listen_addresses=''" --wait start
for script in /docker-entrypoint-initdb.d/*.sh; do sh "${script}"; done
pg_ctl --pgdata "${data}" --wait stop
exec postgres -D "${data}" -c listen_addresses='*'
