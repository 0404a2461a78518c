# Converts the output of `docker compose config` for `docker stack deploy`: no project name, no conditions in depends_on
# (a stack has no startup order), CPUs as text, published ports and sizes as numbers. Migrations are a job:
# `docker stack deploy` would wait forever for a service that ends.
/^name:/d
/^    depends_on:$/,/^    [a-z]/{
  /^    depends_on:$/d
  /^      /d
}
s/^( +cpus: )([0-9.]+)$/\1"\2"/
s/^( +(published|size): )"([0-9]+)"$/\1\3/
/^  migrate:$/,/^  [a-z]/s/^    deploy:$/&\
      mode: replicated-job/
